"""Frames and arrays of all kinds, wherever a pair (X, y) is taken."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from torch import nn

import shrinkage as sh
from shrinkage.data import examples
from shrinkage.errors import DataError

X = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
Y = np.arange(30) % 3
FRAME = pd.DataFrame(X, columns=list("abcd"))


@pytest.mark.parametrize(
    "pair",
    [
        (FRAME, pd.Series(Y)),
        (FRAME, pd.DataFrame({"y": Y})),
        (FRAME.set_index("a", drop=False), pd.Series(Y, index=range(30, 0, -1))),
        (pl.DataFrame(X), pl.Series(Y)),
        (X[::-1][::-1], Y[::-1][::-1].copy()),
        (X.astype(">f4"), Y.astype(">i8")),
        (X.astype(np.float64), Y.astype(np.uint8)),
        (X, list(Y)),
    ],
    ids=["pandas", "two frames", "other indices", "polars", "backwards", "big-endian", "wide",
         "list"],
)  # fmt: skip
def test_measure_and_certify_take_them_as_arrays(pair: Any) -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    plan = sh.Plan(net, sh.L1(0.01))
    right = torch.from_numpy(X), torch.from_numpy(Y)
    expected = float(nn.functional.cross_entropy(net(right[0]), right[1]).detach())
    assert sh.measure(net, plan, pair).parts["data"].loss == pytest.approx(expected, rel=1e-6)
    assert sh.certify(net, plan, pair).loss == pytest.approx(expected, rel=1e-6)
    assert sh.measure(net, plan, {"train": pair}).parts["train"].loss == pytest.approx(expected)


def test_nothing_is_written_into_what_was_given() -> None:
    frozen = X.copy()
    frozen.flags.writeable = False
    found = examples((frozen, Y))
    assert torch.equal(found.x, torch.from_numpy(X))
    found.x.fill_(0)
    assert np.array_equal(frozen, X)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (
            (FRAME.assign(e="text"), Y),
            r"made tensors: got a DataFrame of shape \(30, 5\)",
        ),
        ((FRAME, pd.Series(Y).astype(str)), "cannot be made tensors"),
        ((np.ma.masked_greater(X, 0.5), Y), "a masked array has values that are hidden"),
        (FRAME, r"data of an unknown kind: got a DataFrame .*Pass the pair \(X, y\)"),
    ],
    ids=["text", "text labels", "masked", "alone"],
)
def test_what_holds_no_numbers_is_refused(pair: Any, words: str) -> None:
    net = nn.Linear(4, 3)
    for call in (sh.measure, sh.certify):
        with pytest.raises(DataError, match=words):
            call(net, sh.Plan(net, sh.L1(0.01)), pair)
