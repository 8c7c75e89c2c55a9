"""Optimizers that are not what they seem: subclasses, wrappers, compiled steps, wrong metrics."""

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytorch_optimizer as po
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, Optimizer
from torch.optim.lr_scheduler import StepLR

import shrinkage as sh
from shrinkage.errors import AttachError, ShrinkageWarning
from shrinkage.optim.metrics import _STEPS, METRICS
from shrinkage.optim.verification import _at_worst
from shrinkage.optim.wrappers import steps_nest
from test_attach import INPUTS, PENALTIES, TARGETS, check_solution, exact, problem


@pytest.fixture(autouse=True)
def _forgets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers."""
    metrics, steps = dict(METRICS), dict(_STEPS)
    yield
    for table, before in ((METRICS, metrics), (_STEPS, steps)):
        table.clear()
        table.update(before)  # type: ignore[arg-type]


def layer(value: float | None = None) -> nn.Linear:
    torch.manual_seed(1)
    net = nn.Linear(INPUTS, TARGETS, bias=False, dtype=torch.float64)
    nn.init.normal_(net.weight, std=0.3)
    return net if value is None else nn.init.constant_(net.weight, value) and net


def descend(net: nn.Linear, step: Callable[[], object], steps: int) -> list[int]:
    """Full batches of the least squares of test_attach.py; zeros after every step."""
    zeros, w = [], net.weight
    for _ in range(steps):
        w.grad = problem().grad(w.detach())
        step()
        zeros.append(int((w == 0).sum()))
    return zeros


# ------------------------------------------------------------------------------------- subclasses


class Halved(SGD):
    """Moves half as far as SGD, in a step of its own."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                p.data.add_(p.grad, alpha=-group["lr"] / 2)


class Counting(SGD):
    """Counts, and lets SGD step."""

    count = 0

    def step(self, closure: Any = None) -> Any:
        self.count += 1
        return super().step(closure)


@pytest.mark.parametrize("kind", [Halved, Counting])
def test_a_subclass_that_overrides_step_is_refused(kind: type[SGD]) -> None:
    net = layer()
    with pytest.raises(
        AttachError, match=rf"overrides step.*register_metric\({kind.__name__}, SGD"
    ):
        sh.attach(kind(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(0.1)))
    sh.attach(kind(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(0.1)), method="subgradient")


def test_a_registered_subclass_acts_once_a_step() -> None:
    """Its step and that of SGD within it have the same hooks."""
    sh.register_metric(Counting, SGD)
    results = []
    for method in ("prox", "averaged", "subgradient"):
        for kind in (SGD, Counting):
            net = layer()
            optimizer = kind(net.parameters(), lr=0.1, momentum=0.5)
            sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]), method=method)
            descend(net, optimizer.step, 30)
            results.append(net.weight.detach().clone())
    assert all(map(torch.equal, results[::2], results[1::2]))


def test_only_a_step_of_its_own_can_nest() -> None:
    """PyTorch hooks the step that a class inherits, too: no frames need be walked for that."""
    parameters = [nn.Parameter(torch.zeros(2))]
    kinds = (torch.optim.Adam, torch.optim.AdamW, SGD, Counting)
    assert [steps_nest(kind(parameters, lr=0.1)) for kind in kinds] == [False, False, False, True]


def test_a_registration_is_tried() -> None:
    """The parent's metric is wrong for a step that is half as long, and its own is right."""
    sh.register_metric(Halved, SGD)
    net = layer()
    optimizer = Halved(net.parameters(), lr=0.1)
    with pytest.raises(AttachError, match=r"moves a weight .* where the metric says"):
        sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]))
    sh.register_metric(Halved, lambda group, state, parameter: sh.Metric(group["lr"] / 2))
    sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]))
    descend(net, optimizer.step, 900)
    check_solution(net.weight.detach(), "l1")


def test_a_subclass_of_a_registered_one_needs_its_own() -> None:
    class Further(Halved):
        def step(self, closure: Any = None) -> None:
            super().step()

    class Renamed(Halved):
        pass

    sh.register_metric(Halved, lambda group, state, parameter: sh.Metric(group["lr"] / 2))
    for kind, fits in ((Renamed, True), (Further, False)):
        net = layer()
        if fits:
            sh.attach(kind(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(0.1)))
        else:
            with pytest.raises(AttachError, match="has a step of its own"):
                sh.attach(kind(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(0.1)))


def test_a_replaced_step_is_refused_and_a_schedulers_is_not() -> None:
    net = layer()
    optimizer = SGD(net.parameters(), lr=0.1)
    StepLR(optimizer, 10)
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.1))).remove()
    optimizer.step = lambda closure=None: None  # type: ignore[method-assign, assignment]
    with pytest.raises(AttachError, match="the step of SGD was replaced"):
        sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)))


def test_an_optimizer_that_was_never_prepared() -> None:
    class Bare(Optimizer):
        def __init__(self, params: Any) -> None:
            self.param_groups = [{"params": list(params), "lr": 0.1}]

    net = layer()
    with pytest.raises(AttachError, match=r"calls no hooks.*super\(\).__init__"):
        sh.attach(Bare(net.parameters()), sh.Plan(net, sh.L1(0.1)))


# --------------------------------------------------------------------------- what a metric must be


def _lr(group: Any, state: Any, parameter: Tensor) -> sh.Metric:
    return sh.Metric(group["lr"])


WRONG = {
    "sign": (po.Lion, _lr, "follow the gradient's sign alone"),
    "sign, in disguise": (
        po.Lion,
        lambda group, state, parameter: sh.Metric(group["lr"] / parameter.grad.abs()),
        "gradients that are 5, −3",
    ),
    "schedule-free": (po.ScheduleFreeSGD, _lr, "keeps weights of its own"),
    "dual averaging": (po.MADGRAD, _lr, "keeps weights of its own"),
    "momentum ignored": (po.SGDW, _lr, "where the metric says"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_registrations_are_refused(name: str) -> None:
    kind, metric, reason = WRONG[name]
    sh.register_metric(kind, metric)
    net = layer()
    options = {"momentum": 0.9} if kind is po.SGDW else {}
    optimizer = kind(net.parameters(), lr=1e-2, **options)
    with pytest.raises(AttachError, match=f"{reason}.*method='subgradient'"):
        sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)))
    sh.attach(optimizer, sh.Plan(net, sh.L1(0.1)), method="subgradient")


def test_right_registrations_of_another_package() -> None:
    """Quasi-hyperbolic momentum moves as far as lr in the long run; a warm-up begins at lr 0."""
    sh.register_metric(po.QHM, _lr)
    net = layer()
    optimizer = po.QHM(net.parameters(), lr=0.1, momentum=0.9, nu=0.7)
    optimizer.param_groups[0]["lr"] = 0.0
    before = net.weight.detach().clone()
    sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]))
    assert torch.equal(before, net.weight)
    assert not optimizer.state[net.weight]
    optimizer.param_groups[0]["lr"] = 0.1
    descend(net, optimizer.step, 900)
    check_solution(net.weight.detach(), "l1")


def test_what_cannot_be_tried_is_said() -> None:
    class Needy(SGD):
        def step(self, closure: Callable[[], Tensor]) -> Any:  # type: ignore[override]
            return super().step(closure)

    sh.register_metric(Needy, SGD)
    net = layer()
    with pytest.warns(ShrinkageWarning, match="could not be tried on a small problem"):
        sh.attach(Needy(net.parameters(), lr=0.1), sh.Plan(net, sh.L1(0.1)))


# --------------------------------------------------------------------------------------- wrappers


@pytest.mark.parametrize("inner", [True, False], ids=["inner", "outer"])
@pytest.mark.parametrize("name", ["l1", "group"])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_zeros_stay_under_lookahead(kind: Any, name: str, inner: bool) -> None:
    net = layer()
    base = kind(net.parameters(), lr=0.1 if kind is SGD else 0.01)
    outer = po.Lookahead(base, k=5, alpha=0.5)
    rule = PENALTIES[name]
    handle = sh.attach(base if inner else outer, sh.Plan(net, rule))
    assert handle.optimizer is base
    zeros = descend(net, outer.step, 1500)
    assert min(zeros[-10:]) > 0
    check_solution(net.weight.detach(), name)
    handle.remove()
    assert not outer._optimizer_step_post_hooks


def test_zeros_stay_under_sharpness_aware_steps() -> None:
    net = layer()
    outer = po.SAM(net.parameters(), SGD, rho=1e-3, lr=0.1)
    with pytest.raises(AttachError, match=r"sh.attach\(optimizer.base_optimizer, plan\)"):
        sh.attach(outer, sh.Plan(net, PENALTIES["l1"]))
    sh.attach(outer.base_optimizer, sh.Plan(net, PENALTIES["l1"]))

    def closure() -> Tensor:
        net.weight.grad = problem().grad(net.weight.detach())
        return torch.tensor(0.0)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        zeros = descend(net, lambda: outer.step(closure), 900)
    assert zeros[-1] > 0
    check_solution(net.weight.detach(), "l1")


class Silent(Optimizer):
    """An averaging wrapper whose step has no hooks, as some have."""

    def __init__(self, base: Optimizer) -> None:
        self.base, self.param_groups = base, base.param_groups
        self.slow = [p.detach().clone() for g in self.param_groups for p in g["params"]]

    def step(self, closure: Any = None) -> Any:
        loss = self.base.step()
        for group in self.param_groups:
            for p, slow in zip(group["params"], self.slow, strict=True):
                p.data.lerp_(slow, 0.5)
        return loss


def test_who_writes_after_every_step_is_told_of_once() -> None:
    net = layer()
    base = SGD(net.parameters(), lr=0.1)
    outer = Silent(base)
    assert sh.attach(outer, sh.Plan(net, PENALTIES["l1"])).optimizer is base
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        descend(net, outer.step, 50)
    (told,) = caught
    assert told.category is ShrinkageWarning
    assert re.search(
        r"three of \d+ steps \(its step is called by Silent\).*'prox'", str(told.message)
    )


def test_the_remedy_for_clipped_weights() -> None:
    """Weights that are clamped after every step: said once, and method='prox' has it right."""
    for method, said in (("averaged", 1), ("prox", 0)):
        net = layer()
        optimizer = SGD(net.parameters(), lr=0.1)
        sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]), method=method)

        def step(net: nn.Linear = net, optimizer: SGD = optimizer) -> None:
            optimizer.step()
            net.weight.data.clamp_(-0.3, 0.3)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            zeros = descend(net, step, 900)
        assert len(caught) == said
        assert zeros[-1] > 0


def test_a_checkpoint_that_is_restored_twice_is_nothing_to_tell() -> None:
    net = layer()
    optimizer = SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]))
    good = {key: value.clone() for key, value in net.state_dict().items()}
    for _ in range(2):
        descend(net, optimizer.step, 20)
        net.load_state_dict(good)
    descend(net, optimizer.step, 20)


class Shell:
    """No optimizer, and around one."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer


class Opaque(Optimizer):
    """Holds an optimizer, and steps nobody knows what."""

    def __init__(self, base: Optimizer) -> None:
        super().__init__(base.param_groups, {})
        self.base = base

    def step(self, closure: Any = None) -> Any:
        return getattr(self, "base").step(closure)  # noqa: B009


def test_other_wrappers_name_what_they_hold() -> None:
    net = layer()
    optimizer = SGD(net.parameters(), lr=0.1)
    for wrapper in (Shell(optimizer), StepLR(optimizer, 5), Opaque(optimizer)):
        with pytest.raises(AttachError) as raised:
            sh.attach(wrapper, sh.Plan(net, sh.L1(0.1)))  # type: ignore[arg-type]
        line = re.search(r"(sh\.attach\(.*\))\.?$", str(raised.value))
        assert line
        names = {"sh": sh, "plan": sh.Plan(net, sh.L1(0.1)), "optimizer": wrapper}
        names |= {"wrapper": wrapper, "scheduler": wrapper}
        handle = eval(line[1], names)  # noqa: S307  (the line of the message)
        assert handle.optimizer is optimizer
        handle.remove()


# ------------------------------------------------------------------------------- other arguments


def test_the_line_that_makes_it_right() -> None:
    model = layer()
    optimizer, plan = SGD(model.parameters(), lr=0.1), sh.Plan(model, sh.L1(0.1))
    names = {"sh": sh, "model": model, "optimizer": optimizer, "plan": plan}
    names |= {"rules": {"*weight": sh.L2(0.1)}}
    wrong: list[tuple[object, object]] = [
        (optimizer, sh.L1(1e-3)),
        (optimizer, sh.GroupL1(1e-3, by="input")),
        (optimizer, {"*": sh.L1(0.1)}),
        (optimizer, sh.Rules(sh.L1(0.1))),
        (optimizer, model),
        (optimizer, None),
        (plan, optimizer),
        (model, plan),
        (model, optimizer),
        (None, sh.L1(0.1)),
        (SGD, plan),
        ([optimizer], plan),
    ]
    for first, second in wrong:
        with pytest.raises(AttachError, match=r"Write sh\.attach\(") as raised:
            sh.attach(first, second)  # type: ignore[arg-type]
        line = re.search(r"Write (.*)\.$", str(raised.value))
        assert line
        handle = eval(line[1], names)  # noqa: S307  (the line of the message)
        assert handle.optimizer is optimizer
        if isinstance(second, sh.Penalty):
            assert handle.plan.penalised[0].penalty == second
        handle.remove()


# ------------------------------------------------------------------------------- compiled steps


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's own, when it compiles
@pytest.mark.parametrize("form", ["lambda", "method", "assigned"])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_compiled_step_has_the_same_zeros(kind: Any, form: str) -> None:
    results = []
    for compiled in (False, True):
        net = layer()
        optimizer = kind(net.parameters(), lr=0.05)
        sh.attach(optimizer, sh.Plan(net, PENALTIES["l1"]))
        step: Callable[[], object] = optimizer.step
        if compiled:
            torch._dynamo.reset()
            inner = (lambda: optimizer.step()) if form == "lambda" else optimizer.step  # noqa: B023
            step = torch.compile(inner, backend="eager")
            if form == "assigned":
                optimizer.step = step  # type: ignore[method-assign, assignment]
        descend(net, step, 60)
        results.append(net.weight.detach().clone())
    assert (results[0] == 0).any()
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-6)  # Adam counts in float32 there
    assert torch.equal(*(w == 0 for w in results))


# -------------------------------------------------------------------------------- line searches


@pytest.mark.parametrize("name", ["l2", "elastic"])
def test_a_line_search_sees_the_penalty(name: str) -> None:
    """The value must be that of the gradient; where it is not, the search ends far too early."""
    net, penalty = layer(), PENALTIES[name]
    optimizer = LBFGS(net.parameters(), line_search_fn="strong_wolfe", max_iter=100)
    sh.attach(optimizer, sh.Plan(net, penalty), method="subgradient").scale = 1.0
    p = problem()

    def closure() -> Tensor:
        net.weight.grad = p.grad(net.weight.detach())
        return torch.tensor(p.loss(net.weight.detach()), dtype=torch.float64)

    first = float(p.cost(net.weight.detach(), penalty))
    losses = [float(optimizer.step(closure)) for _ in range(5)]
    assert losses[0] == pytest.approx(first)
    if penalty.slope:  # no zeros, and a line search may stop at a kink
        assert p.cost(net.weight.detach(), penalty) <= p.cost(exact(name), penalty) * 1.05
    else:
        torch.testing.assert_close(net.weight.detach(), exact(name), atol=1e-4, rtol=0)


# ------------------------------------------------------------------------------- frozen later


@pytest.mark.parametrize("method", ["prox", "averaged", "subgradient"])
@pytest.mark.parametrize("large", [False, True])
def test_what_is_frozen_later_stays(
    method: str, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shrinkage.penalties.kernels.offered._LARGE", 0 if large else 2**14)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    x = torch.randn(50, 3)
    optimizer = SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, sh.Plan(net, sh.L1(1e-2)), method=method)  # type: ignore[arg-type]

    def train(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=False)
            nn.functional.mse_loss(net(x), x[:, :1]).backward()
            optimizer.step()

    train(25)
    net[0].requires_grad_(False)
    before = net[0].weight.detach().clone()
    train(25)
    assert torch.equal(before, net[0].weight)
    net[0].requires_grad_(True)
    train(25)
    assert not torch.equal(before, net[0].weight)


def test_the_weight_that_is_told_of_is_the_one_that_is_furthest_off() -> None:
    moved, said = torch.tensor([1.0, 2.0, -4.0]), torch.tensor([1.0, 1.5, -4.0])
    told = _at_worst("a gradient", moved, said, torch.tensor([10.0, 20.0, 30.0]), "")
    assert told == "a gradient 20 moves a weight 2 a step, where the metric says 1.5"
