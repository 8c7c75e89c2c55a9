"""One table of torch functions, what reads it, and whose fault an exception is."""

import ast
import inspect
import operator
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import shrinkage as sh
from shrinkage.analysis.features import first_layers
from shrinkage.analysis.measures import measure, reach
from shrinkage.compression.unread import leaving
from shrinkage.errors import CompactionError, PlanError
from shrinkage.graph import NetworkError, Recording, constants, label_rules, mark_rules, trace
from shrinkage.graph.call import Call, Interpreter
from shrinkage.graph.functions import FUNCTIONS, Kind, look_up
from shrinkage.plans.normalisation import invariances

SOURCE = Path(sh.__file__).parent
HOMES = (torch, functional, Tensor, torch.special, torch.linalg)


# ------------------------------------------------------------------------------------- the table


def words_of(node: ast.AST) -> Iterator[str]:
    """The words of strings, and the names behind a dot."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from part.value.split()
        elif isinstance(part, ast.Attribute):
            yield part.attr


def tables(path: Path) -> list[str]:
    """Module-level collections of ``path`` most of whose words are known torch functions."""
    found = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            words = set(words_of(node.value))
            if len(words) > 2 and len(words & FUNCTIONS.keys()) > len(words) / 2:
                found.append(ast.unparse(node)[:60])
    return found


def test_there_is_one_table() -> None:
    known = {str(p.relative_to(SOURCE)): t for p in SOURCE.rglob("*.py") if (t := tables(p))}
    assert list(known) == ["graph/functions.py"]
    assert len(known["graph/functions.py"]) == 1


def test_a_second_table_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("_MINE = 'relu gelu exp other'\n_F = (torch.relu, F.silu)\n")
    assert [found[:5] for found in tables(tmp_path / "bad.py")] == ["_MINE"]


def test_no_function_stands_twice_in_it() -> None:
    tree = ast.parse((SOURCE / "graph/functions.py").read_text(encoding="utf-8"))
    rows = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and _called(n) == "_row"]
    names = [name for row in rows for name in ast.literal_eval(row.args[1]).split()]
    assert len(names) == len(set(names)) == len(FUNCTIONS)


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def test_the_analyses_name_no_function() -> None:
    """They have rules by kind; what they call by name are arguments."""
    arguments = {a for f in FUNCTIONS.values() for names in f.arguments for a in names}
    others = arguments | {"cpu", "cuda"}  # devices, too
    for path in (SOURCE / "graph").glob("*.py"):
        if path.name != "functions.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
            assert not {s for s in strings if s in FUNCTIONS} - others, path.name


def test_every_name_is_one_of_torch() -> None:
    theirs = {"has_names"}  # of older releases
    for home in HOMES:
        for name in dir(home):
            theirs |= {name, getattr(getattr(home, name, None), "__name__", name)}
    spellings = ("{}", "__{}__", "{}_", "_{}")
    lost = [n for n in FUNCTIONS if not {s.format(n) for s in spellings} & theirs]
    assert lost == []


def positions(name: str) -> list[list[str]]:
    """The names of a function's arguments as torch itself tells them, for each way to call it."""
    names = (f"{name}_with_indices", name)  # what max_pool2d dispatches to
    func = next((getattr(h, n) for n in names for h in (functional, torch) if hasattr(h, n)), None)
    if inspect.isfunction(func):
        return [list(inspect.signature(func).parameters)]
    said = re.findall(rf"^\s*{name}\((.*?)\) ?->", func.__doc__ or "", re.MULTILINE | re.DOTALL)
    return [
        [re.split("[=:]", part)[0].strip() for part in way.partition("*")[0].split(",")]
        for way in said
    ]


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if len(f.arguments) > 1])
def test_arguments_stand_where_torch_has_them(name: str) -> None:
    ways = positions(name)
    for at, names in list(enumerate(FUNCTIONS[name].arguments))[1:]:
        told = {way[at] for way in ways if len(way) > at and way[at]}
        assert not told or told & set(names), f"{told} is not among {names}"


class Seen(Interpreter):
    """Remembers what it meets."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def meet(self, call: Call) -> Any:
        self.calls.append(call)
        return call.func(*call.args, **call.kwargs)


def met(code: Callable[[Tensor], Any]) -> Call:
    with Seen() as seen:
        code(torch.rand(2, 4, 6, 6))
    return seen.calls[-1]


@pytest.mark.parametrize(
    ("name", "in_place", "code"),
    [
        ("add", False, lambda x: x + x),
        ("add", False, lambda x: 1 + x),
        ("add", False, lambda x: torch.add(x, 1)),
        ("add", True, lambda x: x.add_(1)),
        ("add", True, lambda x: operator.iadd(x, 1)),
        ("div", False, lambda x: 1 / x),
        ("rsub", False, lambda x: 1 - x),
        ("pow", False, lambda x: 2**x),
        ("and", False, lambda x: (x > 0) & (x > 1)),
        ("matmul", False, lambda x: x @ x),
        ("relu", False, functional.relu),
        ("relu", False, torch.relu),
        ("relu", True, lambda x: x.relu_()),
        ("max_pool2d", False, lambda x: functional.max_pool2d(x, 2)),
        ("T", False, lambda x: x[0, 0].T),
        ("data", False, lambda x: x.data),
        ("getitem", False, lambda x: x[0]),
        ("__len__", False, len),
        ("__float__", False, lambda x: float(x.sum())),
        ("float", False, lambda x: x.float()),
        ("requires_grad_", False, lambda x: x.requires_grad_()),
    ],
)
def test_spellings_share_a_name(name: str, in_place: bool, code: Callable[[Tensor], Any]) -> None:
    call = met(code)
    assert (call.name, call.in_place) == (name, in_place)
    assert call.kind is not Kind.UNKNOWN


def test_a_builtin_with_another_order_is_not_known() -> None:
    assert look_up(functional.batch_norm)[0].kind is Kind.BATCH_NORM
    assert look_up(torch.batch_norm)[0].kind is Kind.UNKNOWN


def test_arguments_are_found_by_place_and_by_any_of_their_names() -> None:
    for call in (
        met(lambda x: x.mean(3, True)),
        met(lambda x: torch.mean(x, axis=3, keepdim=True)),
        met(lambda x: x.mean(keepdim=True, dim=3)),
    ):
        assert (call.get("dim"), call.get("keepdim")) == (3, True)
    assert met(lambda x: x.mean(3)).get("keepdim") is False
    assert met(lambda x: functional.pad(x, (1, 1))).get("mode") == "constant"


# ---------------------------------------------------------------------- whose fault an exception is


class Guarded(nn.Module):
    """Two layers, what stands between them, and a handler that takes every exception."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.function, self.last = nn.Linear(4, 5), function, nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        with suppress(Exception):
            h = self.function(h)
        return self.last(h)


class BugError(Exception):
    """What nobody but a rule of ours raises here."""


def sabotage(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def rule(*_: object) -> None:
        raise error

    monkeypatch.setitem(label_rules.RULES, Kind.MAP, rule)
    monkeypatch.setitem(mark_rules.RULES, Kind.MAP, rule)


ANALYSES: dict[str, Callable[[nn.Module], Any]] = {
    "trace": lambda net: trace(net, (torch.ones(2, 4),)),
    "reach": lambda net: reach(net, (4,)),
    "measure": lambda net: measure(net, data=(torch.ones(2, 4), torch.zeros(2, 3))),
    "compact": lambda net: sh.compact(net.eval(), torch.ones(2, 4), batch_sizes=()),
    "leaving": lambda net: leaving(net, (torch.ones(2, 4),), ["first.weight"]),
    "coupled": lambda net: sh.Plan(
        net, sh.GroupL1(0.1, coupled=True), example_inputs=torch.ones(2, 4)
    ),
}


@pytest.mark.parametrize("name", ANALYSES)
@pytest.mark.parametrize(
    "error",
    [AssertionError("ours"), BugError("ours"), PlanError("x", got=1, expected="y", remedy="z")],
)
def test_a_bug_of_ours_surfaces_as_itself(
    name: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch, error)
    with pytest.raises(type(error)) as caught:
        ANALYSES[name](Guarded(torch.tanh))
    assert caught.value is error


def test_so_does_one_in_what_is_asked_of_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    def rule(_: object) -> bool:
        raise BugError("ours")

    monkeypatch.setitem(constants.RULES, Kind.JOIN, rule)
    with pytest.raises(BugError):
        trace(Guarded(lambda h: h + h), (torch.ones(2, 4),))


class Raising(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        assert not bool(torch.is_grad_enabled()), "the user's"
        return self.first(x)


def test_what_a_network_raises_is_told_in_one_error() -> None:
    x = torch.ones(2, 4)
    with pytest.raises(NetworkError) as caught:
        trace(Raising(), (x,))
    assert isinstance(caught.value.__cause__, AssertionError)
    assert reach(Raising(), (4,)) is None
    found = measure(Raising(), data=(x, torch.zeros(2, 3)))
    assert "AssertionError: the user's" in found.unreached
    with pytest.raises(PlanError, match="got AssertionError: the user's"):
        sh.Plan(Raising(), sh.GroupL1(0.1, coupled=True), example_inputs=x)
    with pytest.raises(CompactionError, match="got AssertionError: the user's"):
        leaving(Raising(), (x,), [])


def test_a_call_that_torch_refuses_is_the_networks() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (3, 3)))
    with pytest.raises(NetworkError):
        trace(net, (torch.ones(2, 4),))
    assert reach(net, (4,)) is None


def test_what_a_network_catches_is_no_answer() -> None:
    """It would have gone another way, on real values, than on marks."""
    assert reach(Guarded(lambda h: h.sort(1).values), (4,)) is None


class Resized(nn.Module):
    """Does what torch refuses for a tensor that takes gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x.clone().resize_(x.shape)).relu())


def test_a_network_that_fails_only_while_it_is_followed_is_kept_whole() -> None:
    found = sh.compact(Resized().eval(), torch.ones(2, 4), batch_sizes=())
    assert "kept whole: RuntimeError: cannot resize variables that require grad" in str(found)


# ------------------------------------------------------------------------------------- the rules


class Convolved(nn.Module):
    """A unit that is constant (its filter is 0), a function of its channels, and their reader."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.function, self.two = nn.Conv2d(1, 4, 3), function, nn.Conv2d(4, 2, 1)
        with torch.no_grad():
            self.one.weight[1], self.one.bias[1] = 0.0, 0.5  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.function(self.one(x)))


def followed(function: Callable[[Tensor], Tensor], size: int = 6) -> Recording:
    torch.manual_seed(0)
    return trace(Convolved(function).double(), (torch.rand(2, 1, size, size).double(),))[0]


SIZED: dict[str, tuple[Callable[[Tensor], Tensor], float | None]] = {
    "elementwise": (lambda h: h.exp().add(h), 0.5 + torch.e**0.5),
    "kept": (lambda h: torch.hypot(h, h), 0.5**0.5),
    "a number by keyword": (lambda h: torch.add(h, h, alpha=1 / h.shape[-1]), None),
    "a bound by keyword": (lambda h: h.clamp(max=1 / h.shape[-1]), None),
    "a factor": (lambda h: h * (1 / h.shape[-1]), None),
    "pieces by keyword": (lambda h: torch.cat(tensors=[h[:, :4]], dim=1), None),
    "larger of two": (lambda h: torch.max(h, h.neg()), None),
    "average": (lambda h: functional.avg_pool2d(h, 2), 0.5),
    "average with a border": (lambda h: functional.avg_pool2d(h, 2, padding=1), None),
}


@pytest.mark.parametrize("name", SIZED)
def test_constants_are_those_of_every_size(name: str) -> None:
    function, expected = SIZED[name]
    for size in (6, 9):
        constant = float(followed(function, size).layers[1].constants[1].detach())
        assert constant == pytest.approx(expected or float("nan"), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    "function",
    [
        lambda h: torch.where(torch.isnan(h), torch.zeros_like(h), h),
        lambda h: h * ((h > 0) & ~(h > 1)),
        lambda h: torch.max(h, 2 * h),
        lambda h: functional.normalize(h, dim=3),
        lambda h: torch.atleast_3d(h),
        lambda h: torch.cat(tensors=[h[:, :2], h[:, 2:]], dim=1),
    ],
)
def test_units_are_followed_wherever_marks_are(function: Callable[[Tensor], Tensor]) -> None:
    record = followed(function)
    assert record.layers[1].inputs.tolist() == record.layers[0].outputs.tolist() == [1, 2, 3, 4]


class Squeezed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).unsqueeze(-1)
        twin = h.clone()
        h.squeeze_(-1)
        return self.last(h + twin.sum(-1))


def test_a_shape_that_is_changed_in_place_leaves_other_tensors_alone() -> None:
    record, units = trace(Squeezed(), (torch.rand(2, 4),))
    assert record.layers[1].inputs.tolist() == [1, 2, 3, 4, 5]
    assert set(units.reasons()) == {6, 7, 8}


class Multiplied(nn.Module):
    """A layer as GPT-2 has it, weights as (in, out)."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.weight = nn.Parameter(torch.rand(5, 3) + 1)
        self.bias = nn.Parameter(torch.rand(3)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return h @ self.weight if self.bias is None else torch.addmm(self.bias, h, self.weight)


@pytest.mark.parametrize("bias", [True, False])
def test_products_with_a_weight_are_layers(bias: bool) -> None:
    layer = trace(Multiplied(bias=bias), (torch.rand(2, 4),))[0].layers[1]
    assert (layer.weight, layer.bias) == ("weight", "bias" if bias else None)
    assert (layer.inputs.tolist(), layer.outputs.tolist()) == ([1, 2, 3, 4, 5], [6, 7, 8])
    assert layer.transposed


# -------------------------------------------------------------------------------- what reads them


@dataclass
class Answer:
    logits: Tensor


class Answering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Answer:
        return Answer(self.first(x))


def test_what_is_returned_in_a_dataclass_is_reached() -> None:
    net = Answering()
    with torch.no_grad():
        net.first.weight[:, 2] = 0
    found = reach(net, (4,))
    assert found is not None
    assert found.inputs.tolist() == [True, True, False, True]
    assert found.n_dead_units == 0


class ByKeyword(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(input=x)


def test_a_first_layer_may_be_called_by_keyword() -> None:
    assert first_layers(ByKeyword(), (4,)) == ("first",)


class Normed(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 1, bias=False), nn.BatchNorm2d(4, eps=1e-14)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.function(self.conv(x)))


@pytest.mark.parametrize(
    ("is_invariant", "function"),
    [
        (True, lambda h: functional.max_pool2d(functional.leaky_relu(h, 0.1), 2)),
        (True, lambda h: functional.avg_pool2d(h.relu(), 2)),
        (True, lambda h: functional.adaptive_avg_pool2d(h, 2)),
        (True, nn.AdaptiveMaxPool2d(2)),
        (False, lambda h: torch.tanh(h)),
        (False, lambda h: functional.relu6(h)),
        (False, lambda h: h + 1),
        (False, lambda h: functional.max_pool2d(h, 2) + functional.max_pool2d(h, 2)[0]),
    ],
)
def test_scale_invariance_is_read_from_the_same_table(
    is_invariant: bool, function: Callable[[Tensor], Tensor]
) -> None:
    torch.manual_seed(0)
    net = Normed(function).double()
    assert ("conv" in invariances(net)) == is_invariant
    if is_invariant:
        x = torch.randn(20, 2, 5, 5).double()
        before = net(x)
        with torch.no_grad():
            net.conv.weight.mul_(torch.rand(4, 1, 1, 1) + 1)
        assert torch.allclose(net(x), before, atol=1e-6)
