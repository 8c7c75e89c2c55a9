"""polish beside the solvers of convex problems: objective, gap and time of the same problem.

``convex.py [OUT.json]``: one thread, double precision, from zeros; polish to a gap of 1e-4.
``above``: objective over the lowest of the problem. ``times``: seconds over those of polish.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import rivals
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

import shrinkage as sh
from shrinkage.data import load


@dataclass(frozen=True)
class Problem:
    name: str
    penalty: sh.Penalty
    loss: Callable[[Tensor, Tensor], Tensor]
    data: Callable[[], tuple[Tensor, Tensor]]
    rivals: Mapping[str, rivals.Rival]


def built_in(name: str) -> tuple[Tensor, Tensor]:
    data = load(name)
    x = data.x.double().flatten(1)
    spread = x.std(dim=0)
    return (x - x.mean(dim=0)) / torch.where(spread > 0, spread, 1.0), data.y


def two_classes(name: str) -> tuple[Tensor, Tensor]:
    x, y = built_in(name)
    return x, y.double().reshape(-1, 1)


def correlated(rows: int = 20_000, columns: int = 1000) -> tuple[Tensor, Tensor]:
    """Neighbouring columns alike (correlation 0.8); one in 20 speaks."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, columns))
    for k in range(1, columns):
        x[:, k] = 0.8 * x[:, k - 1] + 0.6 * x[:, k]
    truth = np.where(np.arange(columns) % 20 == 0, rng.normal(size=columns), 0.0)
    y = x @ truth + rng.normal(size=rows)
    return torch.from_numpy(x), torch.from_numpy((y - y.mean()) / y.std()).reshape(-1, 1)


PROBLEMS = (
    Problem(
        "digits, softmax, L1",
        sh.L1(1e-3),
        cross_entropy,
        lambda: built_in("digits"),
        {"scikit-learn saga": rivals.saga},
    ),
    Problem(
        "digits, softmax, group L1 by input",
        sh.GroupL1(4e-3, by="input"),
        cross_entropy,
        lambda: built_in("digits"),
        {"adelie": rivals.adelie_softmax_inputs},
    ),
    Problem(
        "breast_cancer, logistic, L1",
        sh.L1(1e-2),
        binary_cross_entropy_with_logits,
        lambda: two_classes("breast_cancer"),
        {
            "scikit-learn saga": rivals.saga,
            "skglm": rivals.skglm_logistic,
            "adelie": rivals.adelie_logistic,
        },
    ),
    Problem(
        "20,000 × 1,000 correlated, squares, L1",
        sh.L1(0.05),
        mse_loss,
        correlated,
        {
            "scikit-learn Lasso, Gram": rivals.sklearn_lasso,
            "skglm": rivals.skglm_lasso,
            "adelie": rivals.adelie_lasso,
        },
    ),
)


def linear(x: Tensor, y: Tensor) -> nn.Linear:
    outputs = y.shape[1] if y.is_floating_point() else int(y.max()) + 1
    model = nn.Linear(x.shape[1], outputs).double()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def solutions(problem: Problem, x: Tensor, y: Tensor) -> Iterator[tuple[str, nn.Linear, float]]:
    model = linear(x, y)
    start = perf_counter()
    sh.polish(model, sh.Plan(model, problem.penalty), (x, y), problem.loss, tol=1e-4)
    yield "polish", model, perf_counter() - start
    targets = y.numpy().ravel()
    strength = problem.penalty.slope
    for name, solve in problem.rivals.items():
        try:
            coefficients, intercept, seconds = solve(x.numpy(), targets, strength)
        except ImportError as error:
            print(f"{problem.name}: {name} is left out, {error.name} is not installed")
            continue
        model = linear(x, y)
        with torch.no_grad():
            model.weight.copy_(torch.from_numpy(np.array(coefficients)))
            model.bias.copy_(torch.from_numpy(np.array(intercept)))
        yield name, model, seconds


def rows(problem: Problem) -> list[dict[str, Any]]:
    x, y = problem.data()
    found: list[dict[str, Any]] = []
    for name, model, seconds in solutions(problem, x, y):
        plan = sh.Plan(model, problem.penalty)
        certificate = sh.certify(model, plan, (x, y), problem.loss)
        found.append(
            {
                "problem": problem.name,
                "solver": name,
                "objective": certificate.objective,
                "gap": certificate.gap,
                "nonzeros": certificate.nonzeros,
                "seconds": seconds,
            }
        )
    best = min(row["objective"] for row in found)
    for row in found:
        row["above"] = row["objective"] / best - 1
        row["times"] = row["seconds"] / found[0]["seconds"]
    return found


def main() -> None:
    torch.set_num_threads(1)
    results = []
    heads = ("objective", "above", "gap", "nonzeros", "seconds", "times")
    print(f"{'':40}" + "".join(f"{head:>12}" for head in heads))
    for problem in PROBLEMS:
        print(f"{problem.name}, s = {problem.penalty.slope:g}")
        for row in rows(problem):
            results.append(row)
            print(
                f"    {row['solver']:36}{row['objective']:12.8f}{row['above']:12.1e}"
                f"{row['gap']:12.1e}{row['nonzeros']:12}{row['seconds']:12.2f}{row['times']:12.2f}",
                flush=True,
            )
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
