"""The explorer without a page: controls, rows, networks, stories, tour, saving."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shrinkage.data import Examples
from shrinkage.errors import ExploreError, ModelError, ShrinkageWarning
from shrinkage.explorer._explore import session_of
from shrinkage.explorer.commands import Change, Reset, Select, Wake, read_command
from shrinkage.explorer.controls import FIRST, Controls, first_controls
from shrinkage.explorer.lanes import Probe
from shrinkage.explorer.messages import hello, state
from shrinkage.explorer.past import Curves
from shrinkage.explorer.rows import Batches, Pool
from shrinkage.explorer.saved import save
from shrinkage.explorer.session import Session
from shrinkage.explorer.tour import TOUR, Check, View, tour_of
from shrinkage.explorer.worker import Pace, Worker, as_text
from shrinkage.explorer.worth import worth
from shrinkage.runs import read


def session(model: Any = "mlp", data: str = "digits", **given: Any) -> Session:
    return session_of(model, data, **{"train_size": 200, "seed": 0, **given})


def without_dropout() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))


def with_a_norm() -> nn.Module:
    net = without_dropout()
    return nn.Sequential(net[:2], nn.BatchNorm1d(20), net[2:])


def many_classes() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2000, 6, generator=generator), torch.arange(2000) % 250


def train(s: Session, steps: int) -> None:
    for _ in range(steps):
        s.advance()


def zeros(s: Session) -> dict[str, int]:
    return {lane["name"]: lane["zeros"] for lane in s.glance()["lanes"]}


def weights(s: Session) -> dict[str, Tensor]:
    return {
        lane.name: torch.cat([p.detach().flatten() for p in lane.model.parameters()])
        for lane in s.lanes
    }


def setting_weights(s: Session) -> Tensor:
    """The weights that every column began with."""
    model = s.setting.build(s.controls.seed)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.fixture(scope="module")
def trained() -> Session:
    s = session("cnn", columns=FIRST)
    s.change({"strength": 3e-3})
    train(s, 150)
    return s


@pytest.fixture(scope="module")
def told() -> Session:
    s = session("cnn", columns=("none", "l1", "l2", "group_l1"))
    s.change({"strength": 3e-3})
    train(s, 200)
    return s


@pytest.fixture(scope="module")
def s() -> Session:
    """On a tour."""
    return session("cnn", columns=FIRST, train_size=None)


class TestControls:
    @pytest.fixture
    def plain(self) -> Controls:
        return first_controls(1000, 32)

    def test_one_dial_turns_every_strength(self, plain: Controls) -> None:
        turned = plain.changed({"strength": "0.003"})
        assert [(c.name, c.knob) for c in turned.columns] == [
            ("none", 0.0), ("l1_term", 0.003), ("l1", 0.003), ("l2", 0.003)]  # fmt: skip

    def test_one_knob_turns_alone(self, plain: Controls) -> None:
        turned = plain.changed({"knobs": {"l1": 0.1}})
        assert [c.knob for c in turned.columns] == [0.0, 0.0, 0.1, 0.0]

    def test_new_columns_keep_the_dial(self, plain: Controls) -> None:
        turned = plain.changed({"strength": 0.01}).changed({"columns": ["l1", "dropout", "l2"]})
        assert [(c.name, c.knob) for c in turned.columns] == [
            ("l1", 0.01), ("dropout", 0.5), ("l2", 0.01)]  # fmt: skip

    def test_an_optimizer_brings_its_rate(self, plain: Controls) -> None:
        assert plain.changed({"optimizer": "adam"}).lr == 1e-3
        assert plain.changed({"optimizer": "adam", "lr": 0.01}).lr == 0.01
        own = plain.changed({"optimizer": "sgd", "lr": 0.3})
        assert own.changed({"optimizer": "sgd"}).lr == 0.3

    def test_a_link_brings_everything_back(self, plain: Controls) -> None:
        turned = plain.changed(
            {"columns": ["none", "group_l1", "dropout"], "strength": 2.5e-4, "label_noise": 0.25,
             "knobs": {"dropout": 0.3}, "optimizer": "adam", "biases": True, "seed": 7,
             "train_size": 300, "batch_size": 64}
        )  # fmt: skip
        for link in (f"http://127.0.0.1:1/t/#{turned.query}", turned.query, f"#{turned.query}"):
            assert plain.restored(link) == turned

    @pytest.mark.parametrize(
        ("changes", "what"),
        [
            ({"columns": ["l3"]}, "column is unknown"),
            ({"columns": ["magnitude"]}, "cannot be shown live"),
            ({"columns": ["l1", "l1"]}, "do not fit"),
            ({"columns": []}, "do not fit"),
            ({"columns": "l1"}, "list of columns"),
            ({"strength": -1}, "out of range"),
            ({"strength": "nan"}, "out of range"),
            ({"strength": "much"}, "not a number"),
            ({"knobs": [1]}, "mapping of knobs"),
            ({"lr": 0}, "learning rate"),
            ({"batch_size": 2.5}, "whole number"),
            ({"batch_size": 0}, "batch size"),
            ({"label_noise": 1.5}, "label noise"),
            ({"biases": "perhaps"}, "yes or no"),
            ({"optimizer": "lbfgs"}, "optimizer is unknown"),
            ({"lerning": 1}, "control is unknown"),
        ],
    )
    def test_nonsense_is_refused_in_one_line(
        self, plain: Controls, changes: dict[str, Any], what: str
    ) -> None:
        with pytest.raises(ExploreError, match=what) as error:
            plain.changed(changes)
        assert "\n" not in str(error.value)

    def test_no_link_is_refused(self, plain: Controls) -> None:
        with pytest.raises(ExploreError, match="not a link"):
            plain.restored("hello")


class TestCommands:
    def test_messages_become_commands(self) -> None:
        assert read_command({"do": "change", "changes": {"lr": 1}}) == Change({"lr": 1})
        assert read_command({"do": "reset", "seed": "4"}) == Reset(4)
        assert read_command({"do": "reset"}) == Reset(None)
        assert read_command({"do": "wake", "column": "l1"}) == Wake("l1")
        found = read_command({"do": "select", "kind": "unit", "parameter": "a", "index": 2})
        assert found == Select("unit", "a", 2)

    @pytest.mark.parametrize(
        "message", [None, 3, {}, {"do": "rm"}, {"do": "change"}, {"do": "reset", "seed": "x"}]
    )
    def test_others_are_refused(self, message: object) -> None:
        with pytest.raises(ExploreError):
            read_command(message)


class TestRows:
    @pytest.fixture
    def pool(self) -> Pool:
        y = torch.arange(300) % 3
        return Pool.of(Examples(torch.arange(300.0).reshape(-1, 1), y), 3, 0)

    def test_small_sets_are_the_beginning_of_large_ones(self, pool: Pool) -> None:
        small, large = pool.take(30, 0.0), pool.take(200, 0.0)
        assert torch.equal(small.x, large.x[:30])
        assert small.y.bincount().tolist() == [10, 10, 10]

    def test_noise_replaces_that_share_and_grows(self, pool: Pool) -> None:
        clean = pool.take(300, 0.0).y
        wrong = {noise: pool.take(300, noise).y != clean for noise in (0.2, 0.6, 1.0)}
        assert 0.1 < wrong[0.2].float().mean() < 0.3
        assert bool((wrong[0.2] <= wrong[0.6]).all())
        assert bool(wrong[1.0].all())
        assert torch.equal(pool.take(300, 0.2).y != clean, wrong[0.2])

    def test_regression_gets_noise_of_its_own_spread(self) -> None:
        y = torch.linspace(-5, 5, 400).reshape(-1, 1)
        pool = Pool.of(Examples(torch.zeros(400, 1), y), 0, 1)
        moved = pool.take(400, 0.5).y - pool.take(400, 0.0).y
        assert float(moved.std()) == pytest.approx(0.5 * float(y.std()), rel=0.15)

    def test_an_epoch_shows_every_row_once(self) -> None:
        rows = Examples(torch.arange(65.0).reshape(-1, 1), torch.zeros(65, dtype=torch.long))
        batches, seen = Batches(0), []
        while not batches.epoch:
            seen.append(batches.next(rows, 32)[0].flatten())
        assert [len(batch) for batch in seen] == [32, 33]
        assert torch.cat(seen).sort().values.tolist() == list(range(65))


class TestTraining:
    def test_all_start_alike_and_stay_alike_without_a_penalty(self) -> None:
        s = session(columns=("none", "l1", "l2", "l1_term"))
        train(s, 20)
        found = list(weights(s).values())
        assert all(torch.equal(found[0], other) for other in found[1:])

    def test_the_dial_makes_zeros_under_exact_l1_alone_and_gives_them_back(self) -> None:
        s = session()
        train(s, 60)
        assert set(zeros(s).values()) == {0}
        s.change({"strength": 3e-3})
        train(s, 200)
        many = zeros(s)
        assert many["l1"] > 0.5 * s.glance()["lanes"][0]["size"]
        assert many["none"] == many["l1_term"] == many["l2"] == 0
        s.change({"strength": 0})
        train(s, 60)
        assert zeros(s)["l1"] < 0.5 * many["l1"]

    def test_the_same_settings_give_the_same_weights(self) -> None:
        s = session(columns=("l1", "dropout"))

        def go() -> dict[str, Tensor]:
            s.change({"strength": 1e-3, "label_noise": 0.2})
            train(s, 15)
            return weights(s)

        first = go()
        s.reset(None)
        again = go()
        assert all(torch.equal(first[name], again[name]) for name in first)
        s.reset(5)
        assert not torch.equal(go()["l1"], first["l1"])

    def test_everything_can_be_changed_while_it_trains(self) -> None:
        s = session()
        for changes in (
            {"strength": 1e-3},
            {"lr": 0.01},
            {"optimizer": "adam"},
            {"batch_size": 7},
            {"train_size": 50},
            {"label_noise": 0.3},
            {"biases": True},
            {"train_size": 400},
            {"optimizer": "sgd"},
            {"biases": False},
        ):
            s.change(changes)
            train(s, 3)
            assert [lane.note for lane in s.lanes] == [""] * 4
        assert s.step == 30
        assert [lane.steps for lane in s.lanes] == [30] * 4
        assert s.lanes[2].optimizer.param_groups[0]["lr"] == 0.05

    def test_biases_join_the_penalty(self) -> None:
        s = session()
        before = s.glance()["lanes"][2]["size"]
        s.change({"biases": True})
        assert s.glance()["lanes"][2]["size"] == before + 64 + 64 + 10
        s.look()

    def test_other_columns_begin_anew(self) -> None:
        s = session()
        train(s, 5)
        s.change({"columns": ["none", "elastic_net", "group_l1", "dropout"], "strength": 1e-2})
        assert (s.step, s.batches.epoch) == (0, 0)
        train(s, 150)
        found = zeros(s)
        assert found["elastic_net"] > 0
        assert found["group_l1"] > 0
        assert found["dropout"] == 0
        s.look()

    def test_a_change_that_fails_changes_nothing(self) -> None:
        s = session()
        train(s, 3)
        before = s.controls, weights(s)
        for changes in ({"train_size": 10**6}, {"strength": -1}, {"columns": ["x"]}):
            with pytest.raises(ExploreError):
                s.change(changes)
        assert s.controls == before[0]
        assert torch.equal(weights(s)["l1"], before[1]["l1"])

    def test_divergence_stops_its_own_columns_and_reset_recovers(self) -> None:
        s = session(columns=("none", "l2"))
        s.lanes[0].optimizer.param_groups[0]["lr"] = 1e12
        train(s, 12)
        first, second = s.lanes
        assert "Diverged at step" in first.note
        assert "\n" not in first.note
        assert second.note == ""
        assert second.steps == 12
        json.loads(as_text(s.glance()))
        json.loads(as_text(s.look()))
        s.reset(None)
        train(s, 3)
        assert [lane.note for lane in s.lanes] == ["", ""]

    def test_a_network_that_raises_in_training_stops_with_one_line(self) -> None:
        class Moody(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.out = nn.Linear(64, 10)
                self.calls = 0

            def forward(self, x: Tensor) -> Tensor:
                self.calls += self.training
                if self.calls > 2:
                    raise RuntimeError("no more")
                return self.out(x.flatten(1))

        s = session(Moody, columns=("none", "l1"))
        train(s, 5)
        assert s.is_over
        note = "Stopped at step 3: RuntimeError: no more (test_explorer.py, line"
        assert s.lanes[0].note.startswith(note)

    def test_dropout_needs_dropout(self) -> None:
        s = session(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), columns=("none", "l1"))
        with pytest.raises(ExploreError, match="dropout"):
            s.change({"columns": ["none", "dropout"]})
        train(s, 2)
        assert [c.name for c in s.controls.columns] == ["none", "l1"]

    def test_a_factory_that_raises_is_told_before_a_page(self) -> None:
        def broken() -> nn.Module:
            raise RuntimeError("no such layer")

        with pytest.raises(ModelError, match="no such layer"):
            session(broken)

    def test_a_factory_that_raises_later_leaves_the_networks(self) -> None:
        calls = []

        def moody() -> nn.Module:
            calls.append(1)
            if len(calls) > 3:
                raise RuntimeError("not again")
            return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

        s = session(moody, columns=("none", "l1"))
        train(s, 2)
        with pytest.raises(ModelError, match="not again"):
            s.reset(1)
        train(s, 2)
        assert (s.step, s.controls.seed) == (4, 0)

    @pytest.mark.parametrize("data", ["breast_cancer", "diabetes"])
    def test_tables_and_regressions(self, data: str) -> None:
        s = session(None, data)
        s.change({"strength": 1e-2, "label_noise": 0.1})
        train(s, 40)
        shown = s.glance()
        assert shown["lanes"][2]["pixels"]
        assert s.look()["lanes"]["l1"]["held"] is not None
        assert hello(s)["first"]["kind"] == "columns"


class TestSleep:
    @pytest.mark.parametrize("strength", [1e-3, 1e-2])
    def test_the_whole_dial_takes_weights_and_gives_them_back(self, strength: float) -> None:
        s = session("cnn", columns=("l1_term", "l1"), train_size=None)
        train(s, 60)
        s.change({"strength": strength})
        train(s, 200)
        many = zeros(s)
        assert many["l1"] > 0.5 * s.glance()["lanes"][1]["size"]
        assert many["l1_term"] == 0
        s.change({"strength": 0})
        train(s, 100)
        assert zeros(s)["l1"] < 0.5 * many["l1"]
        shown = s.look()["lanes"]["l1"]
        assert not shown["asleep"]
        assert shown["held_score"] > 0.5

    def test_an_all_zero_network_says_why_it_stays_and_can_be_woken(self) -> None:
        s = session("cnn", columns=("none", "l1"))
        train(s, 30)
        s.change({"strength": 0.1})
        train(s, 60)
        lane = s.lanes[1]
        assert not any(bool(p.any()) for _, _, p in lane.plan.blocks())
        s.select(Select("weight", "conv2.weight", 7))
        looked = s.look()
        assert looked["lanes"]["none"]["asleep"] == ""
        sentence = looked["lanes"]["l1"]["asleep"]
        assert "All weights of conv1, conv2, fc1, out are zero" in sentence
        assert "saddle" in sentence
        assert "Turn λ down, then wake it" in sentence
        story = looked["story"]["told"]["l1"]
        assert story["gradient"] == 0
        assert "no gradient reaches it" in story["sentence"]
        s.change({"strength": 0})
        s.wake("l1")
        first = setting_weights(s)
        assert torch.equal(weights(s)["l1"], first)
        train(s, 3)
        looked = s.look()["lanes"]
        assert looked["l1"]["asleep"] == ""
        assert looked["l1"]["step"] == looked["none"]["step"] == 93
        assert not torch.equal(weights(s)["none"], first)

    def test_small_weights_sleep_too(self) -> None:
        s = session("mlp", columns=("l2",))
        train(s, 5)
        with torch.no_grad():
            for p in s.lanes[0].model.parameters():
                p.mul_(1e-3)
        sentence = s.look()["lanes"]["l2"]["asleep"]
        assert "so small" in sentence
        assert "Wake it" in sentence

    def test_a_single_layer_never_sleeps(self) -> None:
        s = session("linear", columns=("l1",))
        assert hello(s)["dial_end"] == 1
        s.change({"strength": 1.0})
        train(s, 30)
        assert zeros(s)["l1"] == 640
        assert s.look()["lanes"]["l1"]["asleep"] == ""
        s.change({"strength": 0})
        train(s, 10)
        assert zeros(s)["l1"] < 320

    def test_nobody_else_can_be_woken(self) -> None:
        with pytest.raises(ExploreError, match="no such column"):
            session(columns=("none", "l1")).wake("l2")

    def test_a_diverged_column_starts_again(self) -> None:
        s = session(columns=("none", "l1"))
        s.lanes[0].optimizer.param_groups[0]["lr"] = 1e12
        train(s, 12)
        assert s.lanes[0].note
        assert s.glance()["edge"] < 5
        s.wake("none")
        train(s, 3)
        assert [lane.note for lane in s.lanes] == ["", ""]
        assert [lane.steps for lane in s.lanes] == [15, 15]
        assert s.look()["lanes"]["none"]["held"] is not None


class TestLooks:
    def test_looking_changes_nothing(self, trained: Session) -> None:
        before = weights(trained)
        state = torch.get_rng_state()
        trained.glance()
        trained.look()
        assert all(torch.equal(before[name], after) for name, after in weights(trained).items())
        assert torch.equal(state, torch.get_rng_state())

    def test_counts_are_those_of_the_weights(self, trained: Session) -> None:
        for lane, shown in zip(trained.lanes, trained.glance()["lanes"], strict=True):
            params = [p.detach() for _, _, p in lane.plan.blocks()]
            flat = torch.cat([p.flatten() for p in params])
            assert shown["zeros"] == int((flat == 0).sum())
            assert sum(shown["bins"]) == int((flat != 0).sum())
            expected = {"l2": flat.double().square().sum(), "none": torch.zeros(())}
            penalty = 3e-3 * float(expected.get(lane.name, flat.double().abs().sum()))
            assert shown["penalty"] == pytest.approx(penalty)
            conv = lane.model.get_parameter("conv2.weight")
            assert shown["layers"][1]["alive"] == int((conv != 0).flatten(2).any(2).sum())

    def test_connections_join_the_right_ends(self, trained: Session) -> None:
        layer = trained.scene.layers[1]
        weight = trained.lanes[0].model.get_parameter("conv2.weight")
        for (i, u), places in zip(layer.ends, layer.pairs, strict=True):
            assert torch.equal(weight.flatten()[places], weight[u, i].flatten())

    def test_one_step_is_flat_for_l1_and_a_slope_for_l2(self, trained: Session) -> None:
        looked = trained.look()["lanes"]
        for name, expected in (("l1", lambda w: 3e-3), ("l1_term", lambda w: 3e-3),
                               ("l2", lambda w: 2 * 3e-3 * abs(w))):  # fmt: skip
            w, delta = looked[name]["dots"]
            assert len(w) > 20
            for value, moved in zip(w, delta, strict=True):
                assert -moved * (1 if value > 0 else -1) == pytest.approx(expected(value), rel=0.02)
        assert looked["none"]["dots"] == [[], []]

    def test_a_probe_leaves_the_network_alone(self, trained: Session) -> None:
        lane = trained.lanes[2]
        before = weights(trained)["l1"]
        Probe(lane).take(lane, 0.1)
        assert torch.equal(before, weights(trained)["l1"])

    def test_messages_are_strict_json_of_bounded_size(self, trained: Session) -> None:
        for message in (hello(trained), state(trained, True), trained.glance(), trained.look()):
            assert len(as_text(message)) < 60_000


class TestStories:
    def tell(self, s: Session, **command: Any) -> dict[str, Any]:
        s.select(Select(**command))
        return s.look()["story"]["told"]

    def test_a_zero_weight_is_not_worth_its_price(self, told: Session) -> None:
        story = self.tell(told, kind="size", column="l1")["l1"]
        assert story["is_zero"]
        assert story["value"] == 0
        lane = told.lanes[1]
        target = told.target
        assert target is not None
        train_rows, _ = told.seen_rows()
        lane.model.eval()
        loss = nn.functional.cross_entropy(lane.model(train_rows.x), train_rows.y)
        (grad,) = torch.autograd.grad(loss, lane.model.get_parameter(target.path))
        assert story["gradient"] == pytest.approx(float(grad.flatten()[target.index]), abs=1e-6)
        verdict = "not worth its price" if abs(story["gradient"]) <= 3e-3 else "worth its price"
        assert verdict in story["sentence"]
        assert "λ = 0.003" in story["sentence"]

    def test_a_survivor_is_weighed_against_what_it_saves(self, told: Session) -> None:
        w = torch.cat([p.detach().flatten() for _, _, p in told.lanes[1].plan.blocks()])
        top = float(w.max())
        stories = self.tell(told, kind="size", column="l1", low=0.9 * top, high=top)
        story = stories["l1"]
        assert story["value"] > 0
        assert story["saved"] == pytest.approx(3e-3 * story["value"], rel=1e-4)
        assert story["price"] == pytest.approx(3e-3)
        worth = story["rise"] >= story["saved"]
        assert ("it is worth its price" in story["sentence"]) == worth
        assert stories["l2"]["price"] == pytest.approx(2 * 3e-3 * abs(stories["l2"]["value"]))
        assert stories["none"]["price"] == 0

    def test_a_group_is_judged_as_a_whole(self, told: Session) -> None:
        lane = told.lanes[3]
        filters = lane.model.get_parameter("conv2.weight").detach().flatten(1)
        dead = (filters == 0).all(dim=1).nonzero().flatten().tolist()
        assert dead
        story = self.tell(told, kind="unit", parameter="conv2.weight", index=dead[0])["group_l1"]
        assert story["is_zero"]
        assert "‖∂loss/∂w‖" in story["sentence"]
        assert story["price"] == pytest.approx(3e-3 * 144**0.5)

    def test_the_way_begins_before_the_click(self, told: Session) -> None:
        told.select(Select("unit", "conv1.weight", 3))
        steps = told.glance()["series"]["l1"][0]
        assert steps[0] == 0
        assert steps[-1] == told.step

    def test_stories_leave_the_networks_alone(self, told: Session) -> None:
        before = weights(told)
        self.tell(told, kind="unit", parameter="fc1.weight", index=5)
        assert all(torch.equal(before[name], after) for name, after in weights(told).items())

    @pytest.mark.parametrize(
        "command",
        [
            {"kind": "unit", "parameter": "fc9.weight"},
            {"kind": "unit", "parameter": "conv1.weight", "index": 16},
            {"kind": "weight", "parameter": "conv1.weight", "index": -1},
            {"kind": "size", "column": "l1", "low": 1e9, "high": 2e9},
            {"kind": "size", "column": "dropout"},
            {"kind": "colour", "parameter": "conv1.weight"},
        ],
    )
    def test_nothing_there_is_told(self, told: Session, command: dict[str, Any]) -> None:
        with pytest.raises(ExploreError, match="nothing to tell"):
            told.select(Select(**command))


class TestTour:
    def test_every_step_can_be_set_and_judged(self, s: Session) -> None:
        for number, claim in enumerate(TOUR):
            s.lead(number)
            train(s, 3)
            check = s.look()["check"]
            assert check["step"] == number
            assert check["sentence"].endswith((".", "'.")), claim.title
        s.lead(-1)
        assert s.look()["check"] is None
        with pytest.raises(ExploreError, match="no such step"):
            s.lead(len(TOUR))

    def test_claims_that_are_exact_are_seen_and_refuted_where_they_do_not_hold(
        self, s: Session
    ) -> None:
        s.reset(None)
        steps = {claim.title: number for number, claim in enumerate(TOUR)}
        constant = steps["L1 shrinks every weight by a constant amount toward zero."]
        proportional = next(n for title, n in steps.items() if title.startswith("L2 shrinks"))
        cost = next(n for title, n in steps.items() if title.startswith("L1 adds"))
        zero = next(n for title, n in steps.items() if title.startswith("L1 takes"))
        s.lead(constant)
        train(s, 150)
        view = View(s.curves.points, s.controls)
        s.look()
        for number in (constant, proportional, cost, zero):
            assert TOUR[number].check(view).verdict == "seen", TOUR[number].check(view)
        swapped = {
            "l1": [replace(s.curves.points["l2"][-1], name="l1")],
            "l2": [replace(s.curves.points["l1"][-1], name="l2")],
            "l1_term": s.curves.points["l1"],
        }
        wrong = View(swapped, s.controls)
        for number in (constant, proportional, cost, zero):
            assert TOUR[number].check(wrong).verdict == "not seen", TOUR[number].check(wrong)

    def test_the_worth_of_zeros_and_large_weights(self, trained: Session) -> None:
        s = trained
        train_rows, _ = s.seen_rows()
        lane = s.lanes[2]
        before = weights(s)["l1"]
        found = worth(lane, train_rows, None)
        assert torch.equal(before, weights(s)["l1"])
        assert found is not None
        params = [p for _, _, p in lane.plan.blocks()]
        lane.model.eval()
        loss = nn.functional.cross_entropy(lane.model(train_rows.x), train_rows.y)
        grads = torch.autograd.grad(loss, params)
        zero = torch.cat([p.detach().flatten() for p in params]) == 0
        slopes = torch.cat([g.flatten() for g in grads])[zero].abs()
        within = float((slopes <= lane.strength).float().mean())
        assert found.survival.slopes.within == pytest.approx(within, abs=1e-3)
        assert 0 <= found.survival.paying <= found.survival.large == 10
        assert worth(s.lanes[0], train_rows, None) is None

    def test_nothing_is_judged_before_there_is_something(self) -> None:
        fresh = session()
        fresh.look()
        view = View(fresh.curves.points, fresh.controls)
        assert {claim.check(view).verdict for claim in TOUR} == {"not measured"}

    def test_moving_along_the_curve_says_what_is_still_to_be_done(self) -> None:
        fresh = session(columns=("l1",))
        fresh.look()
        start = fresh.curves.points["l1"][0]
        compromise = next(c for c in TOUR if c.title.startswith("It is a compromise")).check

        def told(*points: tuple[int, float]) -> Check:
            standings = [replace(start, step=step, knob=knob) for step, knob in points]
            return compromise(View({"l1": standings}, fresh.controls))

        def says(text: str, *points: tuple[int, float]) -> None:
            check = told(*points)
            assert check.verdict == "not measured"
            assert text in check.sentence

        says("above 0", (0, 0.0), (500, 0.0))
        says("at λ = 0.0003: 90 of 300 steps", (0, 3e-4), (90, 3e-4))
        says("turn the dial to 0.003", (0, 3e-4), (300, 3e-4))
        says("turn the dial to 0.003", (0, 3e-4), (300, 3e-4), (330, 1e-3), (400, 1e-3))
        says("at λ = 0.0029: 50 of 300 steps", (0, 3e-4), (300, 3e-4), (310, 2.9e-3), (360, 2.9e-3))
        # Turned on at once: only the large λ has settled, so the way leads back.
        says("turn the dial to 0.0003", (0, 3e-4), (30, 3e-3), (330, 3e-3))
        says("at λ = 0.0003: 20 of 300 steps", (0, 3e-3), (300, 3e-3), (310, 3e-4), (330, 3e-4))
        settled = (0, 3e-4), (300, 3e-4), (310, 2.9e-3), (610, 2.9e-3)
        assert (
            told(*settled).verdict == "not seen"
        )  # the same loss at both: no compromise to be seen

    def test_a_missing_column_is_said_and_not_awaited(self) -> None:
        fresh = session(columns=("none", "l1"))
        fresh.look()
        view = View(fresh.curves.points, fresh.controls)
        dropout = TOUR[-1].check(view)
        assert dropout.verdict == "not measured"
        assert "set the controls again" in dropout.sentence

    def test_networks_at_rest_are_named_until_they_are_woken(self) -> None:
        s = session()
        s.lead(2)
        train(s, 1)
        with torch.no_grad():
            for p in s.lanes[2].model.parameters():
                p.zero_()
        s.lanes[0].failed = "Diverged."
        assert "At rest: none, L1 exact. Press" in s.look()["check"]["sentence"]
        for name in ("none", "l1"):
            s.wake(name)
        assert "At rest" not in s.look()["check"]["sentence"]

    def test_few_examples_where_few_are_wanted(self, s: Session) -> None:
        def sizes(n_train: int, n_classes: int) -> set[int]:
            scope = replace(s.scope, n_train=n_train, n_classes=n_classes)
            return {claim.changes(scope)["train_size"] for claim in TOUR}

        assert sizes(100, 10) == {100}
        assert sizes(1000, 10) == {1000, 200}
        assert sizes(1000, 300) == {1000, 300}

    @pytest.mark.filterwarnings("ignore:.*normalisation layer")
    @pytest.mark.parametrize(
        ("model", "data", "left_out"),
        [
            ("cnn", "digits", []),
            ("linear", "diabetes", ["Dropout is"]),
            (without_dropout, "digits", ["Dropout is"]),
            (with_a_norm, "digits", ["Both constrain", "Dropout is"]),
            ("mlp", many_classes, []),
        ],
        ids=["cnn", "linear regression", "no dropout", "norm", "many classes"],
    )
    def test_the_tour_has_no_step_that_a_network_cannot_show(
        self, model: Any, data: Any, left_out: list[str]
    ) -> None:
        s = session_of(model, data() if callable(data) else data, seed=0)
        titles = {claim.title for claim in s.tour}
        missing = [claim.title for claim in TOUR if claim.title not in titles]
        assert len(missing) == len(left_out)
        assert all(map(str.startswith, missing, left_out))
        for number, step in enumerate(hello(s)["tour"]):
            s.lead(number)
            assert s.look()["check"]["step"] == number
            assert s.tour[number].title == step["title"]
        s.lead(-1)

    def test_only_steps_about_all_parameters_need_them_penalised(self, s: Session) -> None:
        assert tour_of(s.scope) == TOUR
        partly = tour_of(replace(s.scope, penalises_all=False))
        (missing,) = [claim.title for claim in TOUR if claim not in partly]
        assert missing.startswith("Both constrain all parameters")


def test_a_softmax_before_cross_entropy_is_warned_of_once() -> None:
    with pytest.warns(ShrinkageWarning, match="outputs are probabilities") as seen:
        s = session(lambda: nn.Sequential(without_dropout(), nn.Softmax(dim=1)))
    s.reset(1)  # an error if it warns again
    assert len(seen) == 1


class TestSaving:
    def test_a_run_folder_with_its_report(self, tmp_path: Path) -> None:
        s = session(columns=("none", "l1", "dropout"))
        s.change({"strength": 2e-3, "label_noise": 0.1})
        train(s, 30)
        s.look()
        folder = save(s, tmp_path)
        view = read(folder)
        fits = view.of_kind("fit")
        assert fits["l1/0/0"]["weights"]["zeros"] == zeros(s)["l1"]
        assert fits["l1/0/0"]["knob"] == 2e-3
        assert torch.equal(
            view.weights("l1/0/0")["fc1.weight"], s.lanes[1].model.get_parameter("fc1.weight")
        )
        page = (folder / "report.html").read_text(encoding="utf-8")
        assert "L1 exact" in page
        assert "test accuracy" not in page
        link = (folder / "settings.txt").read_text(encoding="utf-8").strip()
        assert session(columns=("none",)).controls.restored(link) == s.controls
        again = save(s, tmp_path)
        assert again != folder

    def test_a_diverged_column_is_saved_as_such(self, tmp_path: Path) -> None:
        s = session(columns=("none", "l1"))
        s.lanes[0].optimizer.param_groups[0]["lr"] = 1e12
        train(s, 12)
        s.look()
        fits = read(save(s, tmp_path)).of_kind("fit")
        assert "Diverged" in fits["none/0/0"]["failed"]
        assert "failed" not in fits["l1/0/0"]

    def test_no_picture_no_folder(self, tmp_path: Path) -> None:
        s = session(columns=("none", "l1"))
        with pytest.raises(ExploreError, match="picture"):
            save(s, tmp_path, "data:image/png;base64,aGVsbG8=")
        assert list(tmp_path.iterdir()) == []


def test_curves_are_thinned_and_keep_both_ends() -> None:
    s = session(columns=("l1",))
    s.look()
    point, curves = s.curves.points["l1"][0], Curves()
    for step in range(1000):
        curves.add(replace(point, step=step))
    kept = [p.step for p in curves.points["l1"]]
    assert len(kept) <= 240
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, 999)


def test_a_pace_bounds_rate_and_share() -> None:
    pace = Pace(0.1, 0.2)
    assert pace.due(0.0, 0.0)
    pace.took(0.01, now=5.0, trained=1.0)
    assert not pace.due(5.08, 2.0)
    assert pace.due(5.091, 2.0)
    pace.took(1.0, now=10.0, trained=3.0)
    assert not pace.due(20.0, 6.9)
    assert pace.due(20.0, 7.1)
    pace.hurry()
    assert pace.due(10.0, 3.0)


class TestWorker:
    @pytest.fixture
    def worker(self) -> Worker:
        messages: list[dict[str, Any]] = []
        made = Worker(session(), messages.append, lambda *_: {})
        made.heard = messages  # type: ignore[attr-defined]
        return made

    def test_a_user_error_pauses_and_is_said(self, worker: Worker) -> None:
        worker.watched_by(1)
        worker._obey(read_command({"do": "play"}))

        def fails() -> None:
            raise RuntimeError("a hook\nfell over")

        worker.session.advance = fails  # type: ignore[method-assign]
        worker.start()
        worker.join(timeout=0.5)
        worker.end()
        said = [m["text"] for m in worker.heard if m["kind"] == "said"]  # type: ignore[attr-defined]
        (text,) = said
        assert text.startswith("RuntimeError: a hook fell over (test_explorer.py, line")
        assert not worker.playing

    def test_commands_between_steps(self, worker: Worker) -> None:
        worker._obey(read_command({"do": "step"}))
        assert (worker.session.step, worker.playing) == (1, False)
        worker._obey(read_command({"do": "epoch"}))
        worker.watched_by(1)
        for _ in range(200):
            if worker.playing:
                worker._turn()
        assert (worker.session.batches.epoch, worker.playing) == (1, False)

    def test_the_dial_is_shown_at_once(self, worker: Worker) -> None:
        worker._obey(read_command({"do": "change", "changes": {"strength": 0.01}}))
        worker._turn()
        shown = [m for m in worker.heard if m["kind"] == "glance"][-1]  # type: ignore[attr-defined]
        assert shown["lanes"][2]["knob"] == 0.01
        assert shown["lanes"][2]["penalty"] > 0
