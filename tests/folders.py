"""Run folders that are written by hand."""

from typing import Any

WEIGHTS = {
    "name": "total", "shape": [4], "size": 4, "zeros": 3, "nonzeros": 1, "l1": 1.0, "l2": 1.0,
    "max_abs": 1.0, "top1": 1.0, "top10": 1.0, "gini": 0.75, "units": None, "zero_units": None,
}  # fmt: skip


def study(command: str, *, seeds: int = 1, **own: Any) -> dict[str, Any]:
    """What ``run.json`` says of any run."""
    return {
        "command": command,
        "data": {"name": "toy", "task": "classification", "examples": 500, "classes": ["a", "b"],
                 "columns": []},
        "spec": {"n_inputs": 3, "input_shape": [3], "n_outputs": 2},
        "model": {"name": "linear"},
        "training": {"epochs": 2, "batch_size": 32, "optimizer": "sgd", "lr": None},
        "seeds": seeds,
        "epochs": 2,
        "cut": {"train_size": None, "validation": 0.2, "test": 0.2},
        **own,
    }  # fmt: skip


def of_path(**own: Any) -> dict[str, Any]:
    """What ``run.json`` says of a path."""
    mine = {
        "rules": [{"key": "'*'", "penalty": "L1(strength=1.0)"}], "grid": {"points": 2},
        "point_epochs": 1.0, "most_rounds": 1, "refit": None, "solver": "train", "choose": {},
    }  # fmt: skip
    return study("path", **mine | own)


def of_contrast(**own: Any) -> dict[str, Any]:
    """What ``run.json`` says of a contrast of one try each, without a penalty and under L1."""
    columns = [
        {"name": "none", "label": "none", "knob": "learning rate", "knobs": [1.0],
         "penalty": None, "form": "exact"},
        {"name": "l1", "label": "L1 exact", "knob": "strength", "knobs": [0.1], "penalty": "L1",
         "form": "exact"},
    ]  # fmt: skip
    return study("contrast", **{"columns": columns, "choose": "1se", "plan": []} | own)


def trial(column: str, index: int, seed: int) -> dict[str, Any]:
    """A fit of a contrast."""
    about = {
        "kind": "fit", "key": f"{column}/{index}/{seed}", "column": column, "index": index,
        "knob": 0.1, "seed": seed, "keep": None, "after": None, "begun": 0,
    }  # fmt: skip
    history = {
        "epoch": [1, 2], "train_loss": [0.7, 0.1], "validation_loss": [0.7, 0.2],
        "train_score": [0.5, 0.9], "validation_score": [0.5, 0.8], "penalty": [0.1, 0.1],
        "nonzeros": [4, 1],
    }  # fmt: skip
    return about | measured() | {"history": history}


def measured() -> dict[str, Any]:
    """What is measured of any network."""
    part = {"loss": 0.1, "score": 0.9}
    return {
        "train": part, "validation": part | {"chunks": [0.1]}, "score_name": "accuracy",
        "penalty": 0.1, "penalty_share": 0.5, "weights": dict(WEIGHTS), "n_parameters": 4,
        "nonzero_parameters": 1, "layers": [WEIGHTS], "reach": None,
    }  # fmt: skip


def path_fit(seed: int, scale: float) -> dict[str, Any]:
    """A fit of a path."""
    about = {"kind": "fit", "key": f"{seed}/{scale:g}", "seed": seed, "scale": scale}
    rest = {"rounds": 1, "settled": True, "gap": None, "shrunk": None, "features": None}
    return about | measured() | rest
