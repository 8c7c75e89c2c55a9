"""What each column does to a network, beside PyTorch's own; and what all of them owe."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import shrinkage as sh
from shrinkage.analysis.measures import evaluate
from shrinkage.cli import app
from shrinkage.data import Examples, Spec
from shrinkage.errors import ExploreError, FitError
from shrinkage.experiments.columns import COLUMNS, LESSON, Column
from shrinkage.experiments.fit import Budget, Training, fit
from shrinkage.explorer._explore import session_of
from shrinkage.explorer.lanes import Lane
from shrinkage.explorer.saved import save
from shrinkage.explorer.session import Session
from shrinkage.penalties import L1
from shrinkage.reports import table_text
from shrinkage.runs import CertificateRecord, FitRecord, read
from shrinkage.runs.knobs import knob

torch.manual_seed(0)
X = torch.randn(40, 4)
Y = (X[:, 0] + 0.5 * torch.randn(40) > 0).long()
PART = Examples(X, Y)
MORE = ("weight_decay", "early_stopping", "label_smoothing")
SIZE: Any = {"tries": 2, "seeds": 1, "epochs": 3, "jobs": 1, "test": 0.2}


def make(spec: Spec) -> nn.Module:
    return nn.Sequential(nn.Linear(spec.n_inputs, 6), nn.Tanh(), nn.Linear(6, spec.n_outputs))


def network() -> nn.Module:
    torch.manual_seed(1)
    return make(Spec(4, (4,), 2))


def trained(column: Column, value: float, training: Any, epochs: int = 5) -> nn.Module:
    """As a contrast trains it, on the same rows for training and validation."""
    model = network()
    plan = sh.Plan(model, L1(0.0))
    with column.acting(plan, value):
        list(
            fit(
                plan,
                column.training(training, None, PART, value),
                {"train": PART, "validation": PART},
                epochs=epochs,
                seed=0,
            )
        )
    return model


def equal(model: nn.Module, other: nn.Module) -> bool:
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=1e-7) for a, b in pairs)


# ------------------------------------------------------------------------ each beside its twin


@pytest.mark.filterwarnings("ignore:weight_decay=0.3 beside a plan")
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_decoupled_decay_is_adamws(decay: float) -> None:
    def adam(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=lr)

    def adamw(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        weights = [p for p in parameters if p.ndim > 1]
        rest = [p for p in parameters if p.ndim == 1]
        groups = [{"params": weights, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=lr)

    ours = trained(COLUMNS["weight_decay"], decay, Training(optimizer=adam, lr=0.02))
    theirs = trained(COLUMNS["none"], 1.0, Training(optimizer=adamw, lr=0.02))
    assert equal(ours, theirs)
    assert equal(ours, trained(COLUMNS["none"], 1.0, Training(optimizer=adam, lr=0.02))) == (
        decay == 0
    )


def test_smoothed_labels_are_pytorchs() -> None:
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.2)
    ours = trained(COLUMNS["label_smoothing"], 0.2, Training())
    assert equal(ours, trained(COLUMNS["none"], 1.0, Training(loss=smoothed)))
    assert not equal(ours, trained(COLUMNS["none"], 1.0, Training()))


def test_what_our_training_minimises_is_smoothed_or_refused() -> None:
    weighted = nn.CrossEntropyLoss(torch.tensor([1.0, 3.0]))
    both = nn.CrossEntropyLoss(torch.tensor([1.0, 3.0]), label_smoothing=0.2)
    ours = trained(COLUMNS["label_smoothing"], 0.2, Training(loss=weighted))
    assert equal(ours, trained(COLUMNS["none"], 1.0, Training(loss=both)))
    with pytest.raises(FitError, match="label smoothing is not applicable"):
        trained(COLUMNS["label_smoothing"], 0.2, Training(loss=lambda p, y: cross_entropy(p, y)))


def test_early_stopping_keeps_the_epoch_of_the_lowest_validation_loss() -> None:
    held = Examples(X.flip(0), 1 - Y)  # which gets worse the more is learnt
    losses = [cross_entropy(network()(held.x), held.y).item()]
    states = [network().state_dict()]

    def watched(model: nn.Module, plan: sh.Plan, budget: Budget) -> Any:
        for _ in Training(lr=0.3)(model, plan, budget):
            losses.append(cross_entropy(model(held.x), held.y).item())
            states.append(copy.deepcopy(model.state_dict()))
            yield

    column, model = COLUMNS["early_stopping"], network()
    plan = sh.Plan(model, L1(0.0))
    stopping = column.training(watched, None, held, 0.3)
    list(fit(plan, stopping, {"train": PART}, epochs=10, seed=0))
    assert len(losses) - 1 < 10, "it went on to the end"
    best = min(range(1, len(losses)), key=losses.__getitem__)
    assert len(losses) - 1 == best + 3  # patience: 3 of 10 epochs
    assert all(torch.equal(states[best][k], v) for k, v in model.state_dict().items())


# ------------------------------------------------------------------------------ laws of the table


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_tries_are_as_many_as_strengths_and_in_order(name: str, count: int) -> None:
    column = COLUMNS[name]
    values = column.knobs([1e-4 * 3**k for k in range(count)])
    assert len(values) == len(set(values)) == count
    assert list(values) in (sorted(values), sorted(values, reverse=True))
    assert knob(column.knob).symbol != column.knob or column.knob == "learning rate"


def test_a_contrast_of_more_columns(tmp_path: Path) -> None:
    options = {**SIZE, "columns": ["none", "l2", *MORE]}
    whole = sh.contrast(make, (X, Y), run=tmp_path / "whole", **options)
    rows = {row["name"]: row for row in whole.summary()}
    assert list(rows) == ["none", "l2", *MORE]
    text = table_text(whole.view)
    for sign in ("d=", "ε=", "wait="):
        assert sign in text
    page = whole.report.read_text()
    for name in MORE:
        assert COLUMNS[name].label in page
    found = whole.view.records(CertificateRecord).values()
    certificates = {record.key.partition("/")[0]: record for record in found}
    assert {name: certificates[name].residual is None for name in rows} == {
        "none": False, "l2": False, **dict.fromkeys(MORE, True),
    }  # fmt: skip
    stopped = sh.contrast(make, (X, Y), run=tmp_path / "again", **options)
    assert (stopped.folder / "points.jsonl").read_bytes() == (
        whole.folder / "points.jsonl"
    ).read_bytes()


def test_what_does_not_apply_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    y = X[:, :1] + torch.randn(40, 1)
    result = sh.contrast(make, (X, y), run=tmp_path, columns=["none", "label_smoothing"], **SIZE)
    assert "label smoothing is not applicable" in table_text(result.view)
    with pytest.raises(FitError, match="label_smoothing"):
        result.model("label_smoothing")


@pytest.mark.parametrize("column", ["label_smoothing", "dropout"])
def test_a_column_that_cannot_apply_is_refused_before_anything_is_written(
    column: str, tmp_path: Path
) -> None:
    y = X[:, :1] + torch.randn(40, 1)
    with pytest.raises(FitError, match="no column applies to this network"):
        sh.contrast(make, (X, y), run=tmp_path / "run", columns=[column], **SIZE)
    assert not (tmp_path / "run").exists()


def test_a_column_that_proves_not_to_apply_says_why(tmp_path: Path) -> None:
    def train(model: nn.Module, plan: sh.Plan, budget: Budget) -> None:
        for _ in Training()(model, plan, budget):
            pass

    with pytest.raises(FitError, match=r"early stopping is not applicable.*does not yield"):
        sh.contrast(make, (X, Y), run=tmp_path, columns=["early_stopping"], train=train, **SIZE)


def test_a_training_that_does_not_pause_is_not_stopped(tmp_path: Path) -> None:
    def train(model: nn.Module, plan: sh.Plan, budget: Budget) -> None:
        for _ in Training()(model, plan, budget):
            pass

    result = sh.contrast(
        make, (X, Y), run=tmp_path, columns=["none", "early_stopping"], train=train, **SIZE
    )
    assert "early stopping is not applicable" in (tmp_path / "points.jsonl").read_text()
    assert result.model("none") is not None


@dataclass(frozen=True)
class Noise(Column):
    """A column of somebody's own: inputs with noise."""

    knob: str = "noise"

    def training(self, train: Any, loss: Any, validation: Examples, value: float) -> Any:
        def noisy(model: nn.Module, plan: sh.Plan, budget: Budget) -> Any:
            x = budget.train.x + value * torch.randn_like(budget.train.x)
            return train(model, plan, replace(budget, train=Examples(x, budget.train.y)))

        return noisy


def test_a_column_of_ones_own_is_one_class(tmp_path: Path) -> None:
    columns = ["none", "l1", Noise("noise", "noisy inputs")]
    result = sh.contrast(make, (X, Y), run=tmp_path / "run", columns=columns, **SIZE)
    assert [row["name"] for row in result.summary()] == ["none", "l1", "noise"]
    assert "noise=" in table_text(result.view)
    assert "noisy inputs" in result.report.read_text()


def test_the_lessons_columns_are_the_default() -> None:
    assert [column.name for column in LESSON] == list(COLUMNS)[:8]
    assert set(COLUMNS) - {column.name for column in LESSON} == set(MORE)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "contrast wine --model mlp --columns none,weight_decay --epochs 1 --seeds 1 --tries 1"
    parts = [*text.split(), "--jobs", "1", "--run", str(tmp_path / "run")]
    app(parts, standalone_mode=False)
    assert "decoupled weight decay" in capsys.readouterr().out


def test_what_is_no_dial_is_refused_by_the_live_page() -> None:
    with pytest.raises(ExploreError, match=r"cannot be shown live.*sh\.contrast shows it"):
        session_of(make, (X, Y), columns=("none", "magnitude"))


def live(*columns: str, **knobs: float) -> Session:
    """A page of these columns, dials set, after some epochs."""
    session = session_of(make, (X, Y), columns=("none", *columns), lr=0.05, seed=1)
    session.change({"knobs": knobs})
    return session


def advance(session: Session, epochs: int) -> None:
    end = session.batches.epoch + epochs
    while session.batches.epoch < end:
        session.advance()


def weights(lane: Lane) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in lane.model.parameters()])


def test_live_weight_decay_is_that_of_the_optimizer_and_its_dial_turns() -> None:
    session = live("weight_decay", weight_decay=0.0)
    advance(session, 3)
    none, decayed = session.lanes
    assert torch.equal(weights(none), weights(decayed))
    session.change({"knobs": {"weight_decay": 0.5}})
    before = none.model[0].weight.detach().clone()
    session.advance()
    taken = none.model[0].weight - decayed.model[0].weight
    assert torch.allclose(taken, 0.05 * 0.5 * before, atol=1e-7)


def test_live_label_smoothing_trains_on_smoothed_labels_and_measures_the_labels() -> None:
    session = live("label_smoothing", label_smoothing=0.4)
    advance(session, 60)
    none, smoothed = (session.look()["lanes"][lane.name] for lane in session.lanes)
    assert smoothed["train"] > none["train"]  # it never becomes quite certain
    session.change({"knobs": {"label_smoothing": 0.0}})
    advance(session, 60)
    assert session.look()["lanes"]["label_smoothing"]["train"] < smoothed["train"]


def test_live_early_stopping_stops_at_its_best_epoch_and_can_start_again() -> None:
    session = live("early_stopping", early_stopping=0.1)
    lane = session.lanes[1]
    held, seen = session.seen_rows()[1], []
    for _ in range(400):
        advance(session, 1)
        if lane.stopped:
            break
        seen.append(evaluate(lane.model, held, None).loss)
    assert "Stopped early" in lane.note
    assert not lane.failed
    assert evaluate(lane.model, held, None).loss == min(seen)
    steps = lane.steps
    advance(session, 2)
    assert lane.steps == steps
    session.wake("early_stopping")
    advance(session, 1)
    assert not session.lanes[1].note


def test_a_page_with_a_lane_that_stopped_is_saved_with_its_network(tmp_path: Path) -> None:
    session = live("early_stopping", early_stopping=0.0)
    while not session.lanes[1].stopped:
        session.advance()
    folder = save(session, tmp_path)
    fits = read(folder).records(FitRecord)
    assert "early_stopping/0/0" in fits


def test_live_label_smoothing_of_quantities_is_refused() -> None:
    with pytest.raises(ExploreError, match="label smoothing"):
        session_of("mlp", "diabetes", columns=("none", "label_smoothing"))
