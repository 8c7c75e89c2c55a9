"""Calls as users write them, for the type checker: what is right passes, what is wrong does not.

mypy reads this file with the sources (``make test``); an ``ignore`` that is of no use fails there.
"""

import torch
from torch import Tensor, nn

import shrinkage as sh


def calls(x: Tensor, y: Tensor) -> tuple[sh.RegularizationPath, sh.Contrast]:
    """Nothing here is run."""
    found: sh.RegularizationPath = sh.path(lambda: nn.Linear(4, 2), (x, y), "l1", points=25)
    sh.path(make_model="mlp", data=(x, y), penalty=sh.L1(1.0), refit=None)
    sh.path("mlp", data="digits", penalty={"weight": sh.L1(1.0), nn.Conv2d: None})
    sh.path("mlp", "digits", "l1", points="25")  # type: ignore[arg-type]
    sh.path("mlp", "digits", "l1", poinst=25)  # type: ignore[call-arg]
    sh.path("mlp", "digits")  # type: ignore[call-arg]
    sh.path("mlp", "digits", "l1", "runs/a")  # type: ignore[call-arg]
    compared: sh.Contrast = sh.contrast(None, (x, y), columns=("none", "l1"), budget="quick")
    sh.contrast(None, (x, y), budget="small")  # type: ignore[arg-type]
    sh.contrast(None, (x, y), loss=torch.nn.functional.mse_loss)
    sh.explore()
    sh.explore("cnn", columns=("none",), browser=False)
    sh.explore("cnn", port="8000")  # type: ignore[arg-type]
    return found, compared
