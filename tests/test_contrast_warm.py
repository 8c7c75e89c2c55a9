"""contrast with tries that go on from one another: a warm-started path in every column."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from shrinkage.errors import FitError, RunError
from shrinkage.experiments.contrasts import Contrast, contrast
from shrinkage.experiments.contrasts.settings import TrialJob
from shrinkage.experiments.contrasts.trial import train
from shrinkage.experiments.fit import Budget, Training
from shrinkage.optim import attach
from shrinkage.plans import Plan
from shrinkage.progress import Progress
from shrinkage.runs import read

EPOCHS, MORE, TRIES, SEEDS = 4, 2, 3, 2
GRID = [1e-4, 3e-4, 1e-3]
COLUMNS = ["none", "l1_term", "l1", "dropout", "magnitude"]


def warm(run: Path, **options: Any) -> Contrast:
    return contrast(
        "mlp",
        "digits",
        run=run,
        **{
            "tries": TRIES,
            "seeds": SEEDS,
            "epochs": EPOCHS,
            "point_epochs": MORE,
            "train_size": 60,
            "columns": COLUMNS,
            "lr": 0.2,
            "jobs": 1,
            "progress": lambda _: None,
            **options,
        },
    )


def fits(folder: Path) -> dict[str, Any]:
    return dict(read(folder).of_kind("fit"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Contrast:
    return warm(tmp_path_factory.mktemp("runs") / "whole")


def test_tries_go_on_from_one_another_and_learning_rates_begin_anew(whole: Contrast) -> None:
    """None has fewer epochs than the last of a chain, so that no column is at a disadvantage."""
    found = fits(whole.folder)
    assert len(found) == len(COLUMNS) * TRIES * SEEDS
    for fit in found.values():
        k = fit["index"]
        if fit["column"] in ("none", "magnitude"):
            expected = (None, 0, EPOCHS + (TRIES - 1) * MORE)
        else:
            begun = EPOCHS + (k - 1) * MORE if k else 0
            expected = (k - 1 if k else None, begun, EPOCHS + k * MORE)
        assert (fit["after"], fit["begun"], fit["history"]["epoch"][-1]) == expected


def test_the_first_try_is_that_of_a_contrast_whose_tries_begin_anew(
    whole: Contrast, tmp_path: Path
) -> None:
    cold = fits(warm(tmp_path / "a", point_epochs=None, seeds=1, columns=["l1"]).folder)
    assert cold["l1/0/0"] == fits(whole.folder)["l1/0/0"]
    assert cold["l1/1/0"] != fits(whole.folder)["l1/1/0"]
    long = EPOCHS + (TRIES - 1) * MORE
    rates = warm(tmp_path / "b", point_epochs=None, epochs=long, seeds=1, columns=["none"])
    assert fits(rates.folder) == {
        name: fit
        for name, fit in fits(whole.folder).items()
        if name[:4] == "none" and name[-1] == "0"
    }


def test_a_try_is_the_training_of_the_network_before_it(whole: Contrast) -> None:
    """Readable twin: load, train for ``point_epochs``, compare bit by bit."""
    for name, index in (("l1", 1), ("l1", 2), ("l1_term", 1), ("dropout", 2)):
        fit = fits(whole.folder)[f"{name}/{index}/1"]
        start = whole.view.weights(f"{name}/{index - 1}/1")
        job = TrialJob(name, index, fit["knob"], 1, fit["keep"], index - 1, fit["begun"], start)
        model, _, _ = train(whole.setting, job, whole.setting.by_name[name])
        stored = whole.view.weights(fit["key"])
        assert all(torch.equal(tensor, stored[n]) for n, tensor in model.state_dict().items())
        assert any(not torch.equal(tensor, start[n]) for n, tensor in model.state_dict().items())


def test_the_closer_look_goes_the_whole_way(whole: Contrast) -> None:
    """From random weights to the chosen network, whose scores it ends with."""
    choices = whole.view.decisions["choices"]
    assert any(choice["index"] for choice in choices.values())
    for name, choice in choices.items():
        key = f"{name}/{choice['index']}/0"
        trace = whole.view.of_kind("trace")[key]["history"]
        anew = name in ("none", "magnitude")
        end = EPOCHS + (TRIES - 1 if anew else choice["index"]) * MORE
        assert trace["epoch"] == sorted(set(trace["epoch"]))
        assert (trace["epoch"][0], trace["epoch"][-1]) == (1, end)
        assert trace["test_score"][-1] == whole.view.of_kind("test")[key]["score"]
        assert trace["train_loss"][-1] == fits(whole.folder)[key]["train"]["loss"]


class _StopError(KeyboardInterrupt):
    """Ends a run in the middle."""


def test_an_interrupted_chain_goes_on_with_the_same_results(
    whole: Contrast, tmp_path: Path
) -> None:
    for after in (1, 5, 20, 26):  # the last one while pruning

        def stop(progress: Progress, after: int = after) -> None:
            stages = {"fits": 0, "pruning": 4 * TRIES * SEEDS}
            if stages.get(progress.stage, -100) + progress.done >= after:
                raise _StopError

        with pytest.raises(_StopError):
            warm(tmp_path / "run", progress=stop)
    warm(tmp_path / "run")
    assert fits(tmp_path / "run") == fits(whole.folder)


def test_other_point_epochs_are_another_run(whole: Contrast) -> None:
    with pytest.raises(RunError, match="point_epochs"):
        warm(whole.folder, point_epochs=MORE + 1)
    with pytest.raises(RunError, match="point_epochs"):
        warm(whole.folder, point_epochs=None)


def test_after_a_try_that_failed_the_next_goes_on_from_the_last_that_worked(
    tmp_path: Path,
) -> None:
    for broken, after in (((0,), [None, None, 1]), ((1,), [None, 0, 0]), ((0, 1), [None] * 3)):
        options = {"grid": GRID, "train": _Breaking([GRID[k] for k in broken]), "lr": None}
        run = warm(tmp_path / str(broken), columns=["none", "l1"], seeds=1, tries=None, **options)
        found = [fits(run.folder)[f"l1/{k}/0"] for k in range(3)]
        assert ["failed" in fit for fit in found] == [k in broken for k in range(3)]
        assert [fit["after"] for fit in found] == after
        assert [fit["begun"] for fit in found] == [0 if a is None else EPOCHS for a in after]


class _Breaking:
    """Our training, which diverges at certain strengths."""

    def __init__(self, strengths: list[float]) -> None:
        self.strengths = strengths

    def __call__(self, model: nn.Module, plan: Plan, budget: Budget) -> Iterator[None]:
        yield from Training(lr=0.05)(model, plan, budget)
        if any(penalty.slope in self.strengths for _, penalty, _ in plan.blocks()):
            with torch.no_grad():
                next(model.parameters()).fill_(float("nan"))


def test_a_training_of_ones_own_is_told_that_it_goes_on(tmp_path: Path) -> None:
    seen: list[tuple[float, bool]] = []

    def mine(model: nn.Module, plan: Plan, budget: Budget) -> None:
        seen.append((budget.epochs, budget.warm))
        list(Training()(model, plan, replace(budget)))

    warm(tmp_path / "run", columns=["l1"], train=mine, lr=None, seeds=1)
    assert seen[:1] == [(1, False)]  # the rehearsal
    assert seen[1 : 1 + TRIES] == [(EPOCHS, False), (MORE, True), (MORE, True)]


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "many"])
def test_point_epochs_out_of_range(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(FitError, match="point_epochs"):
        warm(tmp_path / "run", point_epochs=wrong)
    assert not (tmp_path / "run").exists()


def test_the_report_says_it(whole: Contrast) -> None:
    page = whole.report.read_text(encoding="utf-8")
    assert f"goes on from the one before it for {MORE} epochs" in page
    assert f"none and magnitude pruning began anew, for {EPOCHS + (TRIES - 1) * MORE}" in page


def test_seeds_are_what_numpy_takes(tmp_path: Path) -> None:
    seen = []

    def mine(model: nn.Module, plan: Plan, budget: Budget) -> None:
        seen.append(budget.seed)
        attach(torch.optim.SGD(model.parameters(), lr=0.1), plan)

    warm(
        tmp_path / "run", columns=["l1"], train=mine, lr=None, seeds=1, epochs=10_000,
        point_epochs=5_000,
    )  # fmt: skip
    assert len(set(seen[1:])) == TRIES
    assert all(0 <= seed < 2**32 for seed in seen)


@pytest.mark.parametrize("columns", [["none", "dropout"], ["l1"], ["l1_term"]])
def test_the_rehearsal_is_one_epoch(columns: list[str], tmp_path: Path) -> None:
    seen = []

    def mine(model: nn.Module, plan: Plan, budget: Budget) -> None:
        seen.append(budget.epochs)
        attach(torch.optim.SGD(model.parameters(), lr=0.1), plan, method=budget.method)

    warm(tmp_path / "run", columns=columns, train=mine, lr=None, seeds=1)
    assert seen[0] == 1
    assert min(seen[1:]) > 1


def test_a_closer_look_at_polished_tries_has_every_epoch_once(tmp_path: Path) -> None:
    result = warm(tmp_path / "run", columns=["l1"], polish=2, seeds=1, choose="best")
    (trace,) = result.view.of_kind("trace").values()
    epochs = trace["history"]["epoch"]
    assert epochs == sorted(set(epochs))


@pytest.mark.parametrize(
    ("columns", "tries", "head", "chained"),
    [
        (["none", "l1"], 3, "4 to 8 epochs", True),
        (["l1"], 1, "4 epochs", False),
        (["none"], 3, "8 epochs", False),
    ],
)
def test_the_report_counts_the_epochs(
    columns: list[str], tries: int, head: str, chained: bool, tmp_path: Path
) -> None:
    page = warm(tmp_path / "run", columns=columns, tries=tries, seeds=1).report.read_text()
    assert f"training examples · {head}" in page
    assert f"sgd, {head}" in page
    assert ("goes on from the one before it" in page) == chained
