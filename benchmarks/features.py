"""Does stability selection find the features that matter, and no others?

2,000 rows, 200 columns of N(0, 1), 10 of them informative, signal-to-noise ratio 4 (variances).
Linear target, solved exactly; additive non-linear target, a network. Per seed: of the stable
features, how many of the 10 are kept, and how many others.

    python benchmarks/features.py [linear] [additive] [--seeds 10] [--first 0] [--subsamples 20]
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

import shrinkage as sh
from shrinkage.analysis.features import frequencies
from shrinkage.data import Spec

ROWS, COLUMNS, INFORMATIVE, SIGNAL_TO_NOISE = 2000, 200, 10, 4.0
THRESHOLD, ERRORS = 0.9, 2.0
"""Stability selection: false features that may be expected are those the statement allows."""
SHAPES = {
    "sin": lambda x: np.sin(1.5 * x),
    "tanh": lambda x: np.tanh(2 * x),
    "abs": np.abs,
    "square": np.square,
    "exp": lambda x: np.exp(x / 1.5),
    "relu": lambda x: np.maximum(x, 0),
    "identity": lambda x: x,
    "cube": lambda x: np.clip(x, -2, 2) ** 3,
    "cos": lambda x: np.cos(1.5 * x),
    "step": lambda x: (x > 0.5) * 1.0,
}


def wide(spec: Spec) -> nn.Module:
    """One hidden layer of 128: an additive target needs no second, narrow ones lose |x|."""
    hidden = nn.Linear(spec.n_inputs, 128)
    return nn.Sequential(hidden, nn.ReLU(), nn.Linear(128, spec.n_outputs))


ADDITIVE = {
    "optimizer": "adam",
    "lr": 2e-3,
    "batch_size": 64,
    "epochs": 20,
    "point_epochs": 6.0,
    "rounds": 1,
    "points": 20,
    "weakest": 2e-3,
    "strongest": 2.4e-2,
    "refine": 0,
    "refit": None,
}
MODELS = {"linear": ("linear", {"points": 15, "weakest": 0.03}), "additive": (wide, ADDITIVE)}


def known_truth(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """x, y and the informative columns: y = Σ f_k(x_k) + noise, every f_k of variance 1."""
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((ROWS, COLUMNS))
    columns = np.sort(draw.choice(COLUMNS, INFORMATIVE, replace=False))
    parts = np.stack(
        [x[:, k] * draw.choice([-1, 1]) for k in columns]
        if kind == "linear"
        else [f(x[:, k]) for f, k in zip(SHAPES.values(), columns, strict=True)]
    )
    signal = (parts / parts.std(axis=1, keepdims=True)).sum(axis=0)
    noise = draw.standard_normal(ROWS) * signal.std() / SIGNAL_TO_NOISE**0.5
    y = signal + noise
    return x.astype(np.float32), y.astype(np.float32)[:, None], columns.tolist()


def select(kind: str, seed: int, subsamples: int, folder: Path, jobs: int | None) -> dict:
    x, y, columns = known_truth(kind, seed)
    began = time.perf_counter()
    model, options = MODELS[kind]
    path = sh.path(
        model,
        (x, y),
        "features",
        run=folder,
        stability=sh.Stability(subsamples, THRESHOLD, ERRORS),
        seeds=1,
        validation=0.1,
        test=0.1,
        magnitude=False,
        jobs=jobs,
        progress=lambda _: None,
        **options,
    )
    truth = {f"x{k}" for k in columns}
    names = map(str, columns) if kind == "linear" else SHAPES
    seconds = time.perf_counter() - began
    kept = {int(name[1:]) for name in path.chosen.features}
    return {
        "kept": len(kept & set(columns)),
        "others": len(kept - set(columns)),
        "missing": [n for n, k in zip(names, columns, strict=True) if k not in kept],
        "expected": path.stable.expected,
        "at": [
            f"{threshold:g}/{errors:g}: {len(names & truth)}+{len(names - truth)}"
            for threshold in (0.6, 0.75, 0.9)
            for errors in (1, 2)
            for names in [set(frequencies(path.view).stable(threshold, errors).names)]
        ],
        "score": path.chosen.row["test_score"],
        "seconds": seconds,
    }


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("kinds", nargs="*", default=["linear", "additive"])
    words.add_argument("--seeds", type=int, default=10)
    words.add_argument("--first", type=int, default=0)
    words.add_argument("--subsamples", type=int, default=20)
    words.add_argument("--jobs", type=int)
    given = words.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("error", RuntimeWarning)
    for kind in given.kinds:
        holds = 0
        for seed in range(given.first, given.first + given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                found = select(kind, seed, given.subsamples, Path(folder) / "run", given.jobs)
            holds += found["kept"] == INFORMATIVE and found["others"] <= 2
            print(
                f"{kind:9} seed {seed}: kept {found['kept']:2} of {INFORMATIVE}, "
                f"others {found['others']} (expected ≤ {found['expected']:.2f}), "
                f"missing {', '.join(found['missing']) or 'none'}, "
                f"by threshold/errors {', '.join(found['at'])}; "
                f"test R² {found['score']:.3f}, {found['seconds']:.0f} s",
                flush=True,
            )
        print(f"{kind}: all {INFORMATIVE} kept and at most 2 others in {holds} of {given.seeds}\n")


if __name__ == "__main__":
    main()
