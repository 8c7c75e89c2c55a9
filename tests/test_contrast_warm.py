"""contrast with tries that go on from one another: a warm-started path in every column."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from shrinkage.contrasts import Contrast, contrast
from shrinkage.contrasts.settings import Job
from shrinkage.contrasts.working import train
from shrinkage.errors import FitError, RunError
from shrinkage.fitting import Budget, Training
from shrinkage.plans import Plan
from shrinkage.progress import Progress
from shrinkage.runs import read

EPOCHS, MORE, TRIES, SEEDS = 4, 2, 3, 2
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


def test_every_column_has_the_same_epochs_in_every_try(whole: Contrast) -> None:
    found = fits(whole.folder)
    assert len(found) == len(COLUMNS) * TRIES * SEEDS
    for fit in found.values():
        k = fit["index"]
        assert fit["after"] == (k - 1 if k else None)
        assert fit["begun"] == (EPOCHS + (k - 1) * MORE if k else 0)
        assert fit["history"]["epoch"][-1] == EPOCHS + k * MORE


def test_the_first_try_is_that_of_a_contrast_whose_tries_begin_anew(
    whole: Contrast, tmp_path: Path
) -> None:
    cold = fits(warm(tmp_path / "cold", point_epochs=None, seeds=1, columns=["none", "l1"]).folder)
    for column in ("none", "l1"):
        assert cold[f"{column}/0/0"] == fits(whole.folder)[f"{column}/0/0"]
        assert cold[f"{column}/1/0"] != fits(whole.folder)[f"{column}/1/0"]


def test_a_try_is_the_training_of_the_network_before_it(whole: Contrast) -> None:
    """Readable twin: load, train for ``point_epochs``, compare bit by bit."""
    for name, index in (("l1", 1), ("l1", 2), ("dropout", 2), ("magnitude", 1)):
        fit = fits(whole.folder)[f"{name}/{index}/1"]
        start = whole.view.weights(f"{name}/{index - 1}/1")
        job = Job(name, index, fit["knob"], 1, fit["keep"], index - 1, fit["begun"], start)
        model, _, _ = train(whole.setting, job, whole.setting.by_name[name])
        stored = whole.view.weights(fit["key"])
        assert all(torch.equal(tensor, stored[n]) for n, tensor in model.state_dict().items())
        assert any(not torch.equal(tensor, start[n]) for n, tensor in model.state_dict().items())


def test_what_is_pruned_stays_pruned(whole: Contrast) -> None:
    for fit in fits(whole.folder).values():
        if fit["column"] == "magnitude":
            assert fit["weights"]["nonzeros"] == fit["keep"]


def test_the_closer_look_goes_the_whole_way(whole: Contrast) -> None:
    """From random weights to the chosen network, whose scores it ends with."""
    choices = whole.view.decisions["choices"]
    assert any(choice["index"] for choice in choices.values())
    for name, choice in choices.items():
        key = f"{name}/{choice['index']}/0"
        trace = whole.view.of_kind("trace")[key]["history"]
        end = EPOCHS + choice["index"] * MORE
        assert trace["epoch"] == sorted(set(trace["epoch"]))
        assert (trace["epoch"][0], trace["epoch"][-1]) == (1, end)
        assert set(range(EPOCHS, end + 1)) <= set(trace["epoch"])
        assert trace["test_score"][-1] == whole.view.of_kind("test")[key]["score"]
        assert trace["train_loss"][-1] == fits(whole.folder)[key]["train"]["loss"]


class _StopError(Exception):
    """Ends a run in the middle."""


def test_an_interrupted_chain_goes_on_with_the_same_results(
    whole: Contrast, tmp_path: Path
) -> None:
    for after in (1, 5, 20, 26):

        def stop(progress: Progress, after: int = after) -> None:
            stages = {"fits": 0, "pruning": 4 * TRIES * SEEDS}
            if stages.get(progress.stage, -100) + progress.done >= after:
                raise _StopError

        with pytest.raises(_StopError):
            warm(tmp_path / "run", progress=stop)
    warm(tmp_path / "run")
    assert fits(tmp_path / "run") == fits(whole.folder)


def test_workers_find_the_same(whole: Contrast, tmp_path: Path) -> None:
    assert fits(warm(tmp_path / "run", jobs=2).folder) == fits(whole.folder)


def test_other_point_epochs_are_another_run(whole: Contrast) -> None:
    with pytest.raises(RunError, match="point_epochs"):
        warm(whole.folder, point_epochs=MORE + 1)
    with pytest.raises(RunError, match="point_epochs"):
        warm(whole.folder, point_epochs=None)


def test_after_a_try_that_failed_the_next_goes_on_from_the_last_that_worked(
    tmp_path: Path,
) -> None:
    """Learning rates are tried from the largest on, which is the likeliest to diverge."""
    for broken, after in (((0,), [None, None, 1]), ((1,), [None, 0, 0]), ((0, 1), [None] * 3)):
        train = _Breaking([2.0 ** (1 - k) for k in broken])
        run = tmp_path / str(broken)
        found = fits(warm(run, columns=["none", "l1"], train=train, lr=None, seeds=1).folder)
        assert ["failed" in found[f"none/{k}/0"] for k in range(3)] == [
            k in broken for k in range(3)
        ]
        assert [found[f"none/{k}/0"]["after"] for k in range(3)] == after
        assert [found[f"none/{k}/0"]["begun"] for k in range(3)] == [
            0 if a is None else EPOCHS for a in after
        ]


class _Breaking:
    """Our training, which diverges at certain learning rates."""

    def __init__(self, factors: list[float]) -> None:
        self.factors = factors

    def __call__(self, model: nn.Module, plan: Plan, budget: Budget) -> Iterator[None]:
        yield from Training(lr=0.05)(model, plan, budget)
        if budget.lr_factor in self.factors:
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
