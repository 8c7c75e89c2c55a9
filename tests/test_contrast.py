"""contrast: equal treatment, choice on validation only, and whatever a user brings."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from shrinkage.analysis.certificates import certify
from shrinkage.analysis.measures import evaluate
from shrinkage.data import Data, Examples, Spec, load, split
from shrinkage.errors import DataError, FitError, ModelError, RunError, ShrinkageWarning
from shrinkage.experiments.columns import LESSON, columns_named
from shrinkage.experiments.contrasts import (
    COLUMNS,
    Column,
    Contrast,
    _contrast,
    certificates,
    contrast,
    kinks,
    stages,
)
from shrinkage.experiments.fit import Budget, Training
from shrinkage.optim import attach
from shrinkage.penalties import L1, MCP, LogSum, Penalty, SparseGroupL1
from shrinkage.penalties.steps import Step
from shrinkage.plans import Plan
from shrinkage.progress import Progress
from shrinkage.reports import table_text
from shrinkage.reports.equal import at_equal_strength
from shrinkage.reports.seed_figures import Figure, Paired, figure, paired
from shrinkage.reports.words import spread
from shrinkage.runs import CertificateRecord, FitRecord, read
from shrinkage.runs.identity import fingerprint

LESSON_NAMES = [column.name for column in LESSON]
TRIES, SEEDS, EPOCHS = 2, 2, 3
FEW: dict[str, Any] = {"tries": 1, "seeds": 1, "epochs": 2, "columns": ["none", "l1"]}


def quietly(_: Progress) -> None:
    """No bars in tests."""


def small(model: Any, data: Any, run: Path, **options: Any) -> Contrast:
    options = {"progress": quietly, "jobs": 1, **FEW, **options}
    return contrast(model, data, run=run, **options)


def points(folder: Path) -> dict[tuple[str, str], Any]:
    """The points by kind and key; a key twice fails."""
    lines = [json.loads(line) for line in (folder / "points.jsonl").read_text().splitlines()]
    counts = Counter((point["kind"], point["key"]) for point in lines)
    assert set(counts.values()) == {1}
    return {
        (point["kind"], point["key"]): {
            k: v for k, v in point.items() if k not in ("run", "sha256")
        }
        for point in lines
    }


def choices(result: Contrast) -> dict[str, Any]:
    found: dict[str, Any] = result.view.decisions["choices"]
    return found


def full(run: Path, data: Any = "digits", **options: Any) -> Contrast:
    sizes = {"tries": TRIES, "seeds": SEEDS, "epochs": EPOCHS, "train_size": 60, "columns": None}
    return small("mlp", data, run, **{**sizes, "lr": 0.2, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Contrast:
    """All columns, two tries, two seeds, in this process."""
    return full(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def small_table() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 4, generator=generator)
    return x, (x[:, 0] > 0).long()


# Equal treatment


def test_every_column_has_the_same_tries_seeds_and_epochs(whole: Contrast) -> None:
    fits = whole.view.of_kind("fit").values()
    expected = sorted((try_, seed) for try_ in range(TRIES) for seed in range(SEEDS))
    for name in LESSON_NAMES:
        mine = [fit for fit in fits if fit["column"] == name]
        assert sorted((fit["index"], fit["seed"]) for fit in mine) == expected, name
        assert {fit["history"]["epoch"][-1] for fit in mine} == {EPOCHS}, name
        assert len({fit["knob"] for fit in mine}) == TRIES, name
    assert len(fits) == len(LESSON_NAMES) * TRIES * SEEDS


def test_all_columns_of_a_seed_see_the_same_rows_and_first_weights(whole: Contrast) -> None:
    first = {}
    for column in whole.setting.columns:
        model, _ = whole.setting.network(column, 0.1, 1)
        first[column.name] = torch.cat([p.flatten() for p in model.parameters()])
    assert all(torch.equal(first["none"], weights) for weights in first.values())
    one, other = whole.setting.split(0), whole.setting.split(1)
    assert torch.equal(one.test.x, other.test.x)
    assert not torch.equal(one.validation.x, other.validation.x)


def test_pruning_keeps_the_nonzeros_of_exact_l1_per_seed(whole: Contrast) -> None:
    fits = whole.view.of_kind("fit")
    index = choices(whole)["l1"]["index"]
    for seed in range(SEEDS):
        model = fits[f"l1/{index}/{seed}"]["weights"]["nonzeros"]
        for k in range(TRIES):
            pruned = fits[f"magnitude/{k}/{seed}"]
            assert pruned["keep"] == model
            assert pruned["weights"]["nonzeros"] == model


def test_exact_zeros_are_exact_l1s_alone(whole: Contrast) -> None:
    fits = whole.view.of_kind("fit")
    for seed in range(SEEDS):
        strong = {name: fits[f"{name}/{TRIES - 1}/{seed}"]["weights"] for name in LESSON_NAMES}
        assert strong["l1"]["zeros"] > strong["l1"]["size"] / 4
        assert strong["elastic_net"]["zeros"] > 0
        for name in ("none", "l1_term", "l2", "dropout"):
            assert strong[name]["zeros"] == 0, name


# Choice, test set, stages


def test_the_test_set_opens_after_the_choice(tmp_path: Path) -> None:
    def watch(event: Progress) -> None:
        header = json.loads((tmp_path / "run" / "run.json").read_text())
        kinds = Counter(kind for kind, _ in points(tmp_path / "run")) if event.done else Counter()
        chosen = "choices" in header["decisions"]
        seen.append((event.stage, chosen, kinds["test"]))

    seen: list[tuple[str, bool, int]] = []
    (tmp_path / "run").mkdir()
    small("linear", "wine", tmp_path / "run", columns=None, progress=watch)
    for stage, chosen, tests in seen:
        assert chosen == (stage not in ("fits", "pruning"))
        assert tests == 0 or stage in ("test", "closer look")
    stages_seen = {stage for stage, _, _ in seen}
    assert stages_seen == {"fits", "pruning", "certificates", "test", "closer look"}
    kinds = [point["kind"] for point in read(tmp_path / "run").points]
    assert "fit" not in kinds[kinds.index("test") :]


def test_the_choice_knows_nothing_of_the_test_labels(tmp_path: Path) -> None:
    data = load("wine")
    parts = split(data, 0)
    generator = torch.Generator().manual_seed(0)
    results = []
    for poisoned in (False, True):
        y = parts.test.y
        if poisoned:
            y = y[torch.randperm(len(y), generator=generator)]
        with_test = Data(
            name="wine",
            x=data.x,
            y=data.y,
            task="classification",
            classes=data.classes,
            test=Examples(parts.test.x, y),
        )
        results.append(
            small("linear", with_test, tmp_path / str(poisoned), tries=3, seeds=2, columns=None)
        )
    honest, poisoned_ = results
    assert choices(honest) == choices(poisoned_)
    ours, theirs = points(honest.folder), points(poisoned_.folder)
    assert {k: v for k, v in ours.items() if k[0] == "fit"} == {
        k: v for k, v in theirs.items() if k[0] == "fit"
    }
    assert ours["test", "l1/0/0"] != theirs["test", "l1/0/0"]


def test_a_share_beside_a_given_test_part_is_refused(tmp_path: Path) -> None:
    data, parts = load("wine"), split(load("wine"), 0)
    given = replace(data, test=parts.test)
    with pytest.raises(DataError, match=r"test has no meaning.*test=0\.2"):
        small("linear", given, tmp_path / "run", test=0.2)
    assert not list(tmp_path.iterdir())
    result = small("linear", given, tmp_path / "run")
    assert result.view.config["cut"]["test"] is None
    assert "142 examples for training" in result.report.read_text(encoding="utf-8")


def test_a_share_that_is_the_default_is_the_same_run(tmp_path: Path) -> None:
    one = small("linear", "wine", tmp_path)
    assert one.view.config["cut"]["test"] == 0.2
    small("linear", "wine", tmp_path, test=0.2)
    with pytest.raises(RunError, match=r"cut\.test"):
        small("linear", "wine", tmp_path, test=0.3)


def test_best_takes_the_lowest_validation_loss(tmp_path: Path, whole: Contrast) -> None:
    best = small("linear", "wine", tmp_path / "b", tries=3, seeds=2, choose="best", epochs=4)
    fits = best.view.of_kind("fit")
    for name, choice in choices(best).items():
        means = [
            np.mean([fits[f"{name}/{k}/{seed}"]["validation"]["loss"] for seed in range(2)])
            for k in range(3)
        ]
        assert choice["index"] == choice["best"] == int(np.argmin(means))
    for choice in choices(whole).values():  # 1se is never less regularized than the best
        assert choice["index"] >= choice["best"]


def test_any_number_of_workers_finds_the_same(tmp_path: Path) -> None:
    """Also of tries that go on from one another, and of a network with tied weights."""
    options: dict[str, Any] = {
        "columns": ["none", "l1_term", "l1", "magnitude"],
        "optimizer": lambda parameters, lr: torch.optim.SGD(parameters, lr=100 * lr),
        "tries": 2,
        "point_epochs": 1,
    }
    one, two = (
        small(lambda spec: Tied(spec), "wine", tmp_path / str(jobs), jobs=jobs, **options)
        for jobs in (1, 2)
    )
    assert points(one.folder) == points(two.folder)
    assert one.view.decisions == two.view.decisions
    for path in (one.folder / "weights").iterdir():
        assert (two.folder / "weights" / path.name).read_bytes() == path.read_bytes()


def test_a_finished_run_is_read_and_not_repeated(
    whole: Contrast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    before = points(whole.folder)
    monkeypatch.setattr("shrinkage.experiments.runner.stages.Workers", never)
    monkeypatch.setattr(stages, "trace_steps", never)
    monkeypatch.setattr(_contrast, "rehearse_training", never)
    again = full(whole.folder)
    assert points(again.folder) == before
    assert again.summary() == whole.summary()
    assert str(again) == str(whole)


def test_another_setting_is_refused(whole: Contrast) -> None:
    before = (whole.folder / "points.jsonl").read_bytes()
    with pytest.raises(RunError, match=r"training\.lr"):
        full(whole.folder, lr=0.1)
    with pytest.raises(RunError, match="loss"):
        full(whole.folder, loss=nn.functional.cross_entropy)
    assert (whole.folder / "points.jsonl").read_bytes() == before


def test_a_column_of_another_penalty_is_another_setting(tmp_path: Path) -> None:
    ours = Column("mine", "mine", "strength", L1)
    small("linear", "wine", tmp_path, columns=["none", ours])
    doubled = Column("mine", "mine", "strength", lambda s: L1(2 * s))
    with pytest.raises(RunError, match="weakest"):
        small("linear", "wine", tmp_path, columns=["none", doubled])


# What comes out


def test_models_compute_what_was_stored(whole: Contrast) -> None:
    for name in LESSON_NAMES:
        for seed in range(SEEDS):
            model = whole.model(name, seed)
            assert not model.training
            fit = whole.view.of_kind("fit")[f"{name}/{choices(whole)[name]['index']}/{seed}"]
            parts = whole.setting.split(seed)
            for stored, part in (
                (fit["train"], parts.train),
                (fit["validation"], parts.validation),
                (whole.view.of_kind("test")[fit["key"]], parts.test),
            ):
                measured = evaluate(model, part)
                assert (measured.loss, measured.score) == (stored["loss"], stored["score"]), name


def test_a_network_that_does_not_exist(whole: Contrast) -> None:
    with pytest.raises(FitError, match=r"'magnitud'.*Did you mean 'magnitude'"):
        whole.model("magnitud")
    with pytest.raises(FitError, match=r"seed is out of range: got 2; .*from 0 to 1"):
        whole.model("l1", 2)


def test_the_summary_is_the_mean_over_seeds(whole: Contrast) -> None:
    rows = {row["name"]: row for row in whole.summary()}
    assert list(rows) == LESSON_NAMES
    fits, tests = whole.view.of_kind("fit"), whole.view.of_kind("test")
    keys = [f"l1/{choices(whole)['l1']['index']}/{seed}" for seed in range(SEEDS)]
    base = [f"none/{choices(whole)['none']['index']}/{seed}" for seed in range(SEEDS)]
    gaps = [tests[key]["loss"] - fits[key]["train"]["loss"] for key in keys]
    assert rows["l1"]["gap"]["mean"] == pytest.approx(np.mean(gaps))
    assert rows["l1"]["gap"]["sd"] == pytest.approx(np.std(gaps, ddof=1))
    assert rows["l1"]["held_out"] == "test"
    deltas = [tests[k]["loss"] - tests[b]["loss"] for k, b in zip(keys, base, strict=True)]
    versus = rows["l1"]["versus_none"]["held_out_loss"]
    assert versus["mean"] == pytest.approx(np.mean(deltas))
    assert versus["se"] == pytest.approx(np.std(deltas, ddof=1) / SEEDS**0.5)
    assert rows["none"]["versus_none"] is None
    text = str(whole)
    for column in LESSON:
        assert column.label in text


def test_differences_are_paired_by_seed() -> None:
    these, those = figure({0: 5.0, 1: None, 2: 9.0}), figure({0: None, 1: 1.0, 2: 2.0})
    assert paired(these, those) == Paired(7.0, None, [7.0])
    assert paired(figure({0: 1.0}), figure({1: 1.0})) is None
    assert paired(None, these) is None
    assert figure({0: None}) is None


def test_the_run_holds_a_report_and_no_pickles(whole: Contrast) -> None:
    assert whole.report.read_text().strip().endswith((">", "</html>"))
    for path in whole.folder.rglob("*"):
        if path.is_file():
            assert path.read_bytes()[:2] not in (b"PK", b"\x80\x02"), path
            assert path.suffix in (".json", ".jsonl", ".html", ".safetensors", ""), path


def test_certificates_are_those_of_the_chosen_networks(whole: Contrast) -> None:
    found, fits = whole.view.of_kind("certificate"), whole.view.of_kind("fit")
    chosen = choices(whole)
    tries = {(name, choice["index"]) for name, choice in chosen.items()}
    both = ("l1_term", "l1")
    tries |= {(name, index) for other, index in tries if other in both for name in both}
    assert set(found) == {f"{n}/{index}/{seed}" for n, index in tries for seed in range(SEEDS)}
    for key, point in found.items():
        column, seed = whole.setting.by_name[fits[key]["column"]], fits[key]["seed"]
        model, _ = whole.setting.network(column, fits[key]["knob"], seed)
        model.load_state_dict(whole.view.weights(key))
        plan = Plan(model, column.penalty_at(fits[key]["knob"]))
        expected = certify(model, plan, whole.setting.split(seed).train)
        assert point["objective"] == expected.objective
        assert point["objective"] == pytest.approx(fits[key]["train"]["loss"] + plan.value())
        assert point["null_objective"] == expected.null_objective
        penalised = column.penalty is not None
        assert point["gap"] == (expected.gap if penalised else None)
        assert (point["kink_gap"] is not None) == (penalised and seed == 0)
        assert point["kink_gap"] is None or point["kink_gap"] <= point["gap"]
        told = penalised or column.name == "none"
        assert point["residual"] == (expected.residual if told else None)
    gaps = [found[f"l1/{chosen['l1']['index']}/{seed}"]["gap"] for seed in range(SEEDS)]
    row = {row["name"]: row for row in whole.summary()}["l1"]
    assert row["stationary_gap"]["values"] == tuple(gaps)
    told_gap = Figure(float(np.mean(gaps)), float(np.std(gaps, ddof=1)))
    assert spread(told_gap, 2) in str(whole)


def test_a_large_network_has_no_kink_aware_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinks, "KINKS_UP_TO", 100)
    result = small("mlp", "wine", tmp_path)
    point = result.view.of_kind("certificate")["l1/0/0"]
    assert (point["kink_gap"], point["samples"], point["kinks_up_to"]) == (None, 0, 100)
    assert "training examples exceed 100" in result.report.read_text(encoding="utf-8")


def test_a_dead_network_is_told_from_a_good_one(tmp_path: Path) -> None:
    options: dict[str, Any] = {"columns": ["l1"], "epochs": 10, "tries": None, "biases": True}
    dead = small("mlp", "wine", tmp_path / "dead", grid=[10.0], **options)
    assert dead.view.of_kind("fit")["l1/0/0"]["weights"]["nonzeros"] == 0
    for text in (str(dead), dead.report.read_text(encoding="utf-8")):
        assert "not below that of the best constant" in " ".join(text.split())
    alive = small("mlp", "wine", tmp_path / "alive", grid=[1e-3], lr=0.2, **options)
    assert "not below that of" not in str(alive)


def test_a_loss_of_single_precision_is_certified_in_it(tmp_path: Path) -> None:
    scale = torch.ones(3)

    def loss(prediction: Tensor, y: Tensor) -> Tensor:
        assert prediction.dtype == scale.dtype, "single precision only"
        return nn.functional.cross_entropy(prediction @ torch.diag(scale), y)

    result = small("linear", "wine", tmp_path, loss=loss)
    found = result.view.of_kind("certificate")["l1/0/0"]
    labels = result.setting.split(0).train.y
    shares = torch.bincount(labels) / len(labels)
    assert found["null_objective"] == pytest.approx(-float((shares * shares.log()).sum()), rel=1e-5)


def test_a_certificate_that_cannot_be_had_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise FitError("cannot", got="nothing", expected="something", remedy="None.")

    monkeypatch.setattr("shrinkage.experiments.contrasts.certificates.certify", refused)
    result = small("linear", "wine", tmp_path, jobs=1)
    assert "cannot" in result.view.of_kind("certificate")["l1/0/0"]["failed"]
    assert result.view.decisions["finished"]
    assert "no certificate" in result.report.read_text(encoding="utf-8")


def test_polish_brings_exact_columns_nearer_to_stationary(tmp_path: Path) -> None:
    options: dict[str, Any] = {"columns": ["none", "l1_term", "l1"], "tries": None, "grid": [0.01]}
    plain = small("linear", "wine", tmp_path / "plain", **options)
    polished = small("linear", "wine", tmp_path / "polished", polish=40, **options)
    for name in ("none", "l1_term"):
        key = f"{name}/0/0"
        assert polished.view.of_kind("fit")[key] == plain.view.of_kind("fit")[key]
    before, after = (r.view.of_kind("certificate")["l1/0/0"] for r in (plain, polished))
    assert after["objective"] < before["objective"]
    assert before["gap"] > 0.1
    assert after["gap"] <= 0.01
    fit, trace = (polished.view.of_kind(kind)["l1/0/0"] for kind in ("fit", "trace"))
    assert fit["train"]["loss"] + fit["penalty"] == pytest.approx(after["objective"])
    assert fit["history"]["train_loss"] == trace["history"]["train_loss"]
    assert "at most 40 rounds each" in polished.report.read_text(encoding="utf-8")
    assert "polished" not in plain.report.read_text(encoding="utf-8")
    with pytest.raises(RunError):
        small("linear", "wine", tmp_path / "polished", polish=10, **options)


def test_columns_of_the_other_penalties(tmp_path: Path) -> None:
    makers: dict[str, Any] = {
        "sparse group": lambda s: SparseGroupL1(s / 2, s / 2),
        "log-sum": lambda s: LogSum(s, epsilon=0.1),
        "MCP": lambda s: MCP(s, knee=1.0),
    }
    columns = [Column(name, name, "strength", make) for name, make in makers.items()]
    result = small("mlp", "wine", tmp_path, columns=columns, tries=None, grid=[0.03], polish=2)
    report = result.report.read_text(encoding="utf-8")
    for row in result.summary():
        name = row["name"]
        assert row["zeros"]["mean"] > 0.1, name
        point = result.view.of_kind("certificate")[f"{name}/0/0"]
        model = result.model(name)
        plan = Plan(model, makers[name](0.03))
        found = certify(model, plan, result.setting.split(0).train)
        assert point["objective"] == pytest.approx(found.objective), name
        assert point["kink_gap"] <= point["gap"]
        assert result.view.of_kind("trace")[f"{name}/0/0"]["worth"] is not None
        assert name in report
        assert name in str(result)


@pytest.mark.parametrize("wrong", [-1, 0.5])
def test_polish_out_of_range(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(FitError, match=r"polish is (out of range|not a whole number)"):
        small("linear", "wine", tmp_path, polish=wrong)


def test_a_fault_of_our_own_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "certify", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        small("linear", "wine", tmp_path)


# Columns that fail or do not apply


def test_dropout_does_not_apply_to_a_linear_network(tmp_path: Path) -> None:
    result = small("linear", "wine", tmp_path, columns=["none", "dropout"])
    fit = result.view.of_kind("fit")["dropout/0/0"]
    assert fit["applies"] is False
    assert "dropout" not in choices(result)
    row = {row["name"]: row for row in result.summary()}["dropout"]
    assert row["fits"] == row["failures"] == 0
    assert "not applicable" in row["failed"]
    assert "dropout is not applicable" in str(result)
    with pytest.raises(FitError, match="no such network"):
        result.model("dropout")


def test_no_column_that_applies_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="no column applies"):
        small("linear", "wine", tmp_path / "run", columns=["dropout"])
    assert not (tmp_path / "run").exists()


def test_a_column_that_diverges_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    def train(model: nn.Module, plan: Plan, budget: Budget) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        if plan.value() > 1e5:  # the column called wild
            with torch.no_grad():
                next(model.parameters()).fill_(float("nan"))
        attach(optimizer, plan, method=budget.method)

    wild = Column("wild", "wild", "strength", lambda _: L1(1e9))
    result = small("linear", "wine", tmp_path, columns=["none", wild, "l1"], train=train, tries=2)
    rows = {row["name"]: row for row in result.summary()}
    assert rows["wild"]["fits"] == 0
    assert rows["wild"]["failures"] == 2
    assert "diverged" in rows["wild"]["failed"]
    assert "training diverged" in str(result)
    assert rows["l1"]["fits"] == 1
    assert "wild" not in choices(result)


def test_a_learning_rate_that_breaks_all_is_reported(tmp_path: Path) -> None:
    options: dict[str, Any] = {"lr": 1e30, "columns": ["none", "l1", "magnitude"], "tries": 2}
    for _ in range(2):  # the second time the folder has it all
        with pytest.raises(FitError, match=r"no column.*usable.*4 of 4 fits.*diverged.*--lr"):
            small("mlp", "wine", tmp_path, **options)
        view = read(tmp_path)
        assert view.decisions["choices"] == {}
        assert not view.decisions.get("finished")
        assert len(view.of_kind("fit")) == len(points(tmp_path)) == 4
        assert "diverged" in table_text(view)
        assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("there", [True, False])
def test_a_loss_that_is_not_a_mean_is_refused_before_anything_is_written(
    tmp_path: Path, there: bool
) -> None:
    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    with pytest.raises(FitError, match="the loss is not a mean"):
        small("mlp", "wine", folder, loss=nn.CrossEntropyLoss(reduction="sum"))
    assert list(tmp_path.rglob("*")) == ([folder] if there else [])
    small("mlp", "wine", folder, loss=nn.CrossEntropyLoss())


def test_only_what_a_fit_may_do_is_recorded(tmp_path: Path) -> None:
    calls = []

    def train(model: nn.Module, plan: Plan, budget: Budget) -> None:
        attach(torch.optim.SGD(model.parameters(), lr=0.1), plan, method=budget.method)
        calls.append(budget)
        if len(calls) > 2:
            Training(lr=-1.0)

    with pytest.raises(FitError, match="learning rate is out of range"):
        small("linear", "wine", tmp_path, train=train)


# What users bring


def plain(model: nn.Module, plan: Plan, budget: Budget) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2 * budget.lr_factor)
    attach(optimizer, plan, method=budget.method)
    for _ in range(budget.epochs):
        for x, y in budget.batches(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()


def once(model: nn.Module, plan: Plan, budget: Budget) -> Iterator[None]:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2 * budget.lr_factor)
    attach(optimizer, plan, method=budget.method)
    for _ in range(budget.epochs):
        for x, y in budget.batches(16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        yield


def test_a_training_function_plain_and_as_a_generator(tmp_path: Path) -> None:
    columns = ["none", "l1_term", "l1", "magnitude"]
    options: dict[str, Any] = {"columns": columns, "epochs": 6, "grid": [0.1]}
    one = small("linear", "wine", tmp_path / "plain", train=plain, **options)
    two = small("linear", "wine", tmp_path / "generator", train=once, **options)
    ones, twos = (result.view.of_kind("fit") for result in (one, two))
    for key, fit in ones.items():
        assert fit["weights"] == twos[key]["weights"]
        assert fit["history"]["epoch"] == [6]
        assert len(twos[key]["history"]["epoch"]) == (5 if "magnitude" in key else 6)
    assert ones["l1/0/0"]["weights"]["zeros"] > 0
    assert ones["l1_term/0/0"]["weights"]["zeros"] == 0


def test_a_training_function_with_one_form_only(tmp_path: Path) -> None:
    def train(model: nn.Module, plan: Plan, budget: Budget) -> None:
        attach(torch.optim.SGD(model.parameters(), lr=0.1), plan)

    result = small("linear", "wine", tmp_path, train=train, columns=["none", "l1_term", "l1"])
    rows = {row["name"]: row for row in result.summary()}
    assert rows["l1"]["fits"] == 1
    assert "always applies the exact form" in rows["l1_term"]["failed"]


class Tied(nn.Module):
    """The second layer is the first one's transpose: one parameter under two names."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.first = nn.Linear(spec.n_inputs, spec.n_inputs, bias=False)
        self.second = nn.Linear(spec.n_inputs, spec.n_inputs, bias=False)
        self.second.weight = self.first.weight
        self.out = nn.Linear(spec.n_inputs, spec.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.second(torch.tanh(self.first(x))))
        return out


def test_a_network_with_tied_weights(tmp_path: Path) -> None:
    result = small(Tied, "wine", tmp_path / "run", columns=["none", "l1", "magnitude"])
    model = result.model("l1")
    assert model.first.weight is model.second.weight
    stored = result.view.of_kind("fit")["l1/0/0"]["validation"]["loss"]
    assert evaluate(model, result.setting.split(0).validation).loss == stored


class Remembering(nn.Linear):
    """A network whose state is more than tensors."""

    def get_extra_state(self) -> dict[str, str]:
        return {"unit": "cm"}

    def set_extra_state(self, state: dict[str, str]) -> None:
        assert state == {"unit": "cm"}


def test_a_state_that_is_not_tensors_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"state.*'_extra_state' \(dict\).*only tensors"):
        small(lambda spec: Remembering(13, 3), "wine", tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", ["raises", "forgets"])
def test_a_training_function_that_fails_leaves_nothing(tmp_path: Path, fault: str) -> None:
    def train(model: nn.Module, plan: Plan, budget: Budget) -> None:
        if fault == "raises":
            raise KeyError("oh no")

    expected = "train failed.*oh no" if fault == "raises" else "never applied the plan"
    with pytest.raises(ModelError, match=expected):
        small("linear", "wine", tmp_path / "run", train=train)
    assert not list(tmp_path.iterdir())


FILE = """
import torch
from torch import nn
from shrinkage import attach
from helper import WIDTH

def make(spec):
    first = nn.Linear(spec.n_inputs, WIDTH)
    return nn.Sequential(first, nn.ReLU(), nn.Linear(WIDTH, spec.n_outputs))

def train(model, plan, budget):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2 * budget.lr_factor)
    attach(optimizer, plan, method=budget.method)
    for epoch in range(budget.epochs):
        for x, y in budget.batches(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        yield
"""


def test_factory_and_training_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WIDTH = 5\n")
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    options = {"train": f"{file}:train", "jobs": 2, "columns": ["l1"], "tries": 2}
    result = small(f"{file}:make", "wine", tmp_path / "run", **options)
    assert next(result.model("l1").parameters()).shape == (5, 13)
    file.write_text(FILE.replace("nn.ReLU()", "nn.Tanh()"))
    with pytest.raises(
        RunError, match="have changed since it was begun: got another model, training"
    ):
        small(f"{file}:make", "wine", tmp_path / "run", **options)


def test_lambdas(tmp_path: Path) -> None:
    width = 3
    result = small(
        lambda spec: nn.Sequential(nn.Linear(spec.n_inputs, width), nn.Linear(width, 3)),
        "wine",
        tmp_path / "run",
        loss=lambda output, y: nn.functional.cross_entropy(output, y, label_smoothing=0.1),
    )
    assert len(result.view.of_kind("fit")) == 2
    with pytest.raises(RunError, match=r"model\.fingerprint"):  # another lambda of this file
        small(lambda: nn.Linear(13, 3), "wine", tmp_path / "run")


@pytest.mark.parametrize("kind", ["pair", "arrays", "dataset", "loader", "list dataset"])
def test_data_of_many_kinds_are_the_same_data(
    tmp_path: Path, small_table: tuple[Tensor, Tensor], kind: str
) -> None:
    x, y = small_table
    makers: dict[str, Callable[[], Any]] = {
        "pair": lambda: (x, y),
        "arrays": lambda: (x.numpy(), y.numpy()),
        "dataset": lambda: TensorDataset(x, y),
        "loader": lambda: DataLoader(TensorDataset(x, y), batch_size=7, shuffle=True),
        "list dataset": lambda: DataLoader(list(zip(x, y.tolist(), strict=True))),  # type: ignore[arg-type]
    }
    result = small("linear", makers[kind](), tmp_path, columns=["l1"])
    config = result.view.config
    assert config["data"]["examples"] == 80
    assert config["data"]["task"] == "classification"
    assert config["spec"] == {"n_inputs": 4, "input_shape": [4], "n_outputs": 2}
    expected = small("linear", (x, y), tmp_path / "pair", columns=["l1"])
    assert result.view.of_kind("fit") == expected.view.of_kind("fit")


def test_a_regression(tmp_path: Path) -> None:
    result = small("linear", "diabetes", tmp_path, columns=["none", "l1", "l2"], epochs=20)
    assert result.view.config["data"]["task"] == "regression"
    row = {row["name"]: row for row in result.summary()}["none"]
    assert row["score_name"] in ("R²", "r2")
    assert 0.2 < row["held_out_score"]["mean"] < 0.8
    assert row["score_name"] in str(result)


def test_a_table_with_a_target_column(tmp_path: Path) -> None:
    rows = "\n".join(f"{i % 7},{'ab'[i % 2]},{'yes' if i % 7 > 3 else 'no'}" for i in range(90))
    (tmp_path / "t.csv").write_text("size,kind,bought\n" + rows + "\n")
    result = small(None, load(tmp_path / "t.csv", target="bought"), tmp_path / "run")
    data = result.view.config["data"]
    assert data["columns"] == ["size", "kind=a", "kind=b"]
    assert data["classes"] == ["no", "yes"]
    assert result.view.config["model"]["name"] == "mlp"


def test_a_factory_without_arguments_and_a_spec(tmp_path: Path) -> None:
    seen: list[Spec] = []

    def with_spec(spec: Spec) -> nn.Module:
        seen.append(spec)
        return nn.Linear(spec.n_inputs, spec.n_outputs)

    small(with_spec, "wine", tmp_path / "a")
    assert seen[0] == Spec(n_inputs=13, input_shape=(13,), n_outputs=3)
    small(lambda: nn.Linear(13, 3), "wine", tmp_path / "b")


def test_strengths_of_ones_own_are_sorted(tmp_path: Path) -> None:
    result = small(
        "linear", "wine", tmp_path, grid=[0.1, 1e-3], tries=None, columns=["l1", "l2", "none"]
    )
    columns = {column["name"]: column["knobs"] for column in result.view.config["columns"]}
    assert columns["l1"] == columns["l2"] == [1e-3, 0.1]
    assert len(columns["none"]) == 2


def test_columns_stand_in_one_order_however_they_are_named(tmp_path: Path) -> None:
    mine, other = Column("mine", "mine"), Column("dropout", "mine too")
    given = [mine, "l2", COLUMNS["l1"], other, "none"]
    assert [c.name for c in columns_named(given)] == ["none", "l1", "l2", "mine", "dropout"]
    assert columns_named(given)[-1] is other
    small("linear", "wine", tmp_path, columns=["l1", "none"])
    small("linear", "wine", tmp_path, columns=["none", "l1"])  # the same run


def test_the_default_folder_is_the_same_for_the_same_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {**FEW, "progress": quietly, "jobs": 1}
    one = contrast("linear", "wine", **options)
    assert contrast("linear", "wine", **options).folder == one.folder
    assert contrast("linear", "wine", **{**options, "epochs": 3}).folder != one.folder
    assert sorted(p.parent.name for p in tmp_path.rglob("run.json")) == sorted(
        p.name for p in (tmp_path / "runs").iterdir()
    )
    assert read(one.folder).decisions["finished"] is True


def test_threads_are_left_as_they_were(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        small("linear", "wine", tmp_path)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# A saboteur: a method that shrinks without looking


@dataclass(frozen=True)
class AtRandom(L1):
    """Zeros, and no reason for any of them."""

    def prox(self, w: Tensor, step: Step) -> Tensor:
        return super().prox(w, step) * (torch.rand_like(w) > 0.5)

    accumulate = Penalty.accumulate  # which asks the prox

    def scaled(self, factor: float) -> Self:
        return type(self)(self.strength * factor)


def test_a_method_that_shrinks_at_random_comes_out_worse(tmp_path: Path) -> None:
    saboteur = Column("random", "at random", "strength", AtRandom)
    result = small(
        "linear",
        "digits",
        tmp_path,
        columns=["none", "l1", saboteur],
        grid=[1e-4],
        seeds=3,
        epochs=15,
        train_size=300,
    )
    rows = {row["name"]: row for row in result.summary()}
    versus = rows["random"]["versus_none"]["held_out_loss"]
    assert versus["mean"] > 3 * versus["se"] > 0
    wild = rows["random"]["versus_none"]["held_out_loss"]["mean"]
    assert wild > 10 * abs(rows["l1"]["versus_none"]["held_out_loss"]["mean"])
    assert rows["random"]["held_out_score"]["mean"] < rows["l1"]["held_out_score"]["mean"]


def with_a_softmax() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softmax(dim=1))


def of_probabilities(prediction: Tensor, y: Tensor) -> Tensor:
    return nn.functional.nll_loss(prediction.clamp_min(1e-9).log(), y)


def test_a_softmax_before_cross_entropy_is_warned_of_once(tmp_path: Path) -> None:
    with pytest.warns(ShrinkageWarning, match="outputs are probabilities") as seen:
        small(with_a_softmax, "digits", tmp_path / "ours")
    assert [warning.filename for warning in seen] == [__file__]
    small(with_a_softmax, "digits", tmp_path / "own", loss=of_probabilities)  # an error if it warns


def test_a_weighted_loss_goes_all_the_way(tmp_path: Path) -> None:
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    result = small("mlp", "wine", tmp_path, loss=weighted)
    assert result.view.decisions["finished"]


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(ignore_index=2),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.0, 2.0])),
    ],
)
def test_chunks_of_examples_without_weight_do_not_count(tmp_path: Path, loss: Any) -> None:
    result = small("linear", "wine", tmp_path, loss=loss, seeds=2, tries=2, columns=["none", "l1"])
    fits = result.view.of_kind("fit")
    gaps = [None in fit["validation"]["chunks"] for fit in fits.values()]
    assert all(gaps)  # of two or three rows in each chunk, some hold that class alone
    assert set(choices(result)) == {"none", "l1"}
    assert np.isfinite(choices(result)["l1"]["means"]).all()
    assert result.view.decisions["finished"]


def test_a_train_function_may_change_the_networks_dtype(tmp_path: Path) -> None:
    def train(model: nn.Module, plan: Plan, budget: Budget) -> None:
        model.double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        attach(optimizer, plan, method=budget.method)
        for _ in range(budget.epochs):
            for x, y in budget.batches(32):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x.double()), y).backward()
                optimizer.step()

    assert small("mlp", "wine", tmp_path, train=train).view.decisions["finished"]


def test_a_train_function_that_uses_the_term_for_the_exact_form_is_told(tmp_path: Path) -> None:
    def train(model: nn.Module, plan: Plan, budget: Budget) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for x, y in budget.batches(32):
            optimizer.zero_grad()
            (nn.functional.cross_entropy(model(x), y) + plan.penalty()).backward()
            optimizer.step()

    with pytest.raises(ModelError, match="textbook form where the exact one"):
        small("mlp", "wine", tmp_path, train=train)


@pytest.mark.parametrize("option", [{"lr": 0.1}, {"batch_size": 8}, {"optimizer": "adam"}])
def test_options_beside_a_train_function_are_refused(tmp_path: Path, option: Any) -> None:
    with pytest.raises(FitError, match="has no meaning beside a training function"):
        small("mlp", "wine", tmp_path, train=lambda model, plan, budget: None, **option)


def test_tries_that_contradict_the_strengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FitError, match="contradict"):
        small("mlp", "wine", tmp_path, tries=3, grid=[1e-3])


def test_fingerprints_see_what_a_function_has_captured_and_an_object_holds() -> None:
    def made(lr: float) -> Callable[[], float]:
        return lambda: lr

    weights = torch.tensor([1.0, 2.0])
    pairs = [
        (made(0.1), made(0.2)),
        (nn.CrossEntropyLoss(label_smoothing=0.0), nn.CrossEntropyLoss(label_smoothing=0.9)),
        (nn.CrossEntropyLoss(weight=weights), nn.CrossEntropyLoss(weight=2 * weights)),
        (partial(pow, 2), partial(pow, 3)),
        ({"a": np.zeros(2)}, {"a": np.ones(2)}),
    ]
    for one, other in pairs:
        assert fingerprint(one) != fingerprint(other)
    assert fingerprint(made(0.1)) == fingerprint(made(0.1))
    assert fingerprint(nn.CrossEntropyLoss()) == fingerprint(nn.CrossEntropyLoss())


def test_the_command_stands_behind_the_reports_suggestions(tmp_path: Path) -> None:
    line = "shrinkage contrast wine --target colour"
    page = small("mlp", "wine", tmp_path / "a", command=line).report.read_text(encoding="utf-8")
    assert f"{line} --epochs 8" in page
    page = small("mlp", "wine", tmp_path / "b").report.read_text(encoding="utf-8")
    assert "shrinkage contrast" not in page.partition("What to try next")[2]
    assert "sh.contrast(…, epochs=8)" in page


def test_norms_that_are_kept_are_part_of_what_was_asked(tmp_path: Path) -> None:
    few: dict[str, Any] = {"tries": 1, "columns": ["none"], "epochs": 1}
    asked = [
        small("mlp", "wine", tmp_path / str(k), rescale=k, **few).view.config.get("rescale")
        for k in (False, True)
    ]
    assert asked == [None, True]


def test_choices_at_the_edge_are_said(tmp_path: Path) -> None:
    result = small("mlp", "wine", tmp_path, tries=2, grid=[1e-9, 1e3], columns=["none", "l1"])
    assert "L1 exact: the smallest λ tried was chosen" in str(result)
    assert "lr×:" in str(result)


def test_both_forms_of_l1_are_compared_at_equal_strengths(whole: Contrast) -> None:
    fits, known = whole.view.records(FitRecord), whole.view.records(CertificateRecord)
    rows = at_equal_strength(whole.view)
    assert [row.strength for row in rows] == list(whole.setting.strengths)
    for index, row in enumerate(rows):
        costs = [
            [(fit.train.loss or 0) + (fit.penalty or 0) for fit in fits.values()
             if (fit.column, fit.index) == (name, index)]
            for name in ("l1_term", "l1")
        ]  # fmt: skip
        assert [figure.mean for figure in row.costs] == [pytest.approx(np.mean(c)) for c in costs]
        assert row.ratio.mean == pytest.approx(
            np.mean([b / a for a, b in zip(*costs, strict=True)])
        )
        certified = all(f"{name}/{index}/0" in known for name in ("l1_term", "l1"))
        assert (row.gaps is not None) == certified
    chosen = {whole.view.decided.choices[name].index for name in ("l1_term", "l1")}  # type: ignore[index]
    assert all(rows[index].gaps is not None for index in chosen)
    assert "L1 at equal λ" in str(whole)
    assert "L1 at equal λ" in whole.report.read_text()


def test_without_both_forms_there_is_nothing_to_compare(tmp_path: Path, small_table) -> None:
    columns = ("none", "l1")
    result = contrast(
        "linear",
        small_table,
        columns=columns,
        run=tmp_path / "run",
        seeds=1,
        tries=1,
        epochs=1,
        jobs=1,
    )
    assert at_equal_strength(result.view) == []
    assert "equal λ" not in str(result)
