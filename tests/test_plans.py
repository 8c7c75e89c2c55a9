"""Which parameter gets which penalty, in which groups, and why."""

import gc
import warnings
from collections import OrderedDict
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shrinkage.errors import PlanError, ShrinkageWarning
from shrinkage.graph.layers import Layout
from shrinkage.graph.wrappers import canonical
from shrinkage.optim import attach
from shrinkage.penalties import L1, L2, ElasticNet, GroupL1, Penalty
from shrinkage.plans import Plan, Role, Rules


def network() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 4, 3),
            act=nn.ReLU(),
            conv2=nn.Conv2d(4, 6, 3),
            flat=nn.Flatten(),
            fc=nn.Linear(6 * 4 * 4, 5),
            head=nn.Linear(5, 2),
        )
    )


def penalties(plan: Plan) -> dict[str, Penalty | None]:
    return {entry.name: entry.penalty for entry in plan.entries}


def chosen(plan: Plan) -> set[str]:
    return {entry.name for entry in plan.penalised}


def reasons(plan: Plan) -> dict[str, str]:
    return {entry.name: entry.reason for entry in plan.entries}


WEIGHTS = {"conv1.weight", "conv2.weight", "fc.weight", "head.weight"}
BIASES = {"conv1.bias", "conv2.bias", "fc.bias", "head.bias"}


# -------------------------------------------------------------------------------------- rules


def test_a_bare_penalty_takes_weights_and_leaves_biases() -> None:
    plan = Plan(network(), L1(0.1))
    assert chosen(plan) == WEIGHTS
    assert len(plan.entries) == 8
    assert plan.n_penalised == 4 * 9 + 6 * 4 * 9 + 96 * 5 + 5 * 2
    assert "biases=True" in reasons(plan)["fc.bias"]


def test_rules_know_no_network_and_bind_to_many() -> None:
    rules = Rules({"conv*": L1(0.1), nn.Linear: L2(0.2)}, biases=True)
    one, other = Plan(network(), rules), Plan(nn.Sequential(nn.Linear(2, 2)), Rules({"*": L1(1)}))
    assert one.rules == rules
    assert chosen(one) == WEIGHTS | BIASES
    assert chosen(other) == {"0.weight"}
    assert Plan(network(), {"conv*": L1(0.1), nn.Linear: L2(0.2)}, biases=True).rules == rules


def test_the_first_match_wins() -> None:
    plan = Plan(network(), {"conv1": L1(1.0), "conv*": L1(2.0), "*": L1(3.0)})
    assert penalties(plan) == {
        "conv1.weight": L1(1.0),
        "conv2.weight": L1(2.0),
        "fc.weight": L1(3.0),
        "head.weight": L1(3.0),
    } | dict.fromkeys(BIASES)
    assert reasons(plan)["conv2.weight"] == "rule 'conv*'"


def test_none_leaves_out_and_says_so() -> None:
    plan = Plan(network(), {nn.Conv2d: None, "*": L1(1.0)})
    assert chosen(plan) == {"fc.weight", "head.weight"}
    assert reasons(plan)["conv1.weight"] == "rule Conv2d leaves it out"


def test_a_rule_that_leaves_a_norm_layer_out_does_not_warn() -> None:
    net = nn.Sequential(OrderedDict(fc=nn.Linear(3, 2), norm=nn.LayerNorm(5)))
    assert chosen(Plan(net, {"norm": None, "*": L1(1.0)})) == {"fc.weight"}
    assert chosen(Plan(net, {nn.LayerNorm: None, "*": L1(1.0)})) == {"fc.weight"}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("conv1", {"conv1.weight"}),
        ("conv?", {"conv1.weight", "conv2.weight"}),
        ("conv[12]", {"conv1.weight", "conv2.weight"}),
        ("*.weight", WEIGHTS),
        ("*.bias", BIASES),
        ("fc.bias", {"fc.bias"}),
        (nn.Conv2d, {"conv1.weight", "conv2.weight"}),
        (nn.Module, WEIGHTS),
        (nn.Sequential, WEIGHTS),
        ("module.conv1", {"conv1.weight"}),
        ("head.*", {"head.weight"}),  # a pattern for all of a layer asks for no bias
    ],
)
def test_keys(key: Any, expected: set[str]) -> None:
    assert chosen(Plan(network(), {key: L1(1.0)})) == expected


def test_a_pattern_names_the_modules_around_a_layer() -> None:
    net = nn.Sequential(OrderedDict(features=network(), head=nn.Linear(2, 2)))
    inside = {"features." + name for name in WEIGHTS}
    assert chosen(Plan(net, {"features": L1(1.0)})) == inside
    assert chosen(Plan(net, {"features.*": L1(1.0)})) == inside
    both = Plan(net, {"features": L1(1.0)}, biases=True)
    assert chosen(both) == inside | {"features." + name for name in BIASES}


def test_biases_and_norms_join_on_request() -> None:
    net = nn.Sequential(OrderedDict(fc=nn.Linear(3, 3), act=nn.Tanh(), norm=nn.LayerNorm(3)))
    assert chosen(Plan(net, L1(1.0))) == {"fc.weight"}
    assert chosen(Plan(net, L1(1.0), biases=True)) == {"fc.weight", "fc.bias"}
    assert chosen(Plan(net, L1(1.0), norms=True)) == {"fc.weight", "norm.weight", "norm.bias"}
    everything = Plan(net, Rules(L1(1.0), biases=True, norms=True))
    assert chosen(everything) == set(dict(net.named_parameters()))
    assert chosen(Plan(net, {nn.LayerNorm: L1(1.0)})) == {"norm.weight", "norm.bias"}
    assert chosen(Plan(net, {"norm": L1(1.0)})) == {"norm.weight", "norm.bias"}
    assert chosen(Plan(net, {"norm.weight": L1(1.0)})) == {"norm.weight"}
    assert "norms=True" in reasons(Plan(net, L1(1.0)))["norm.weight"]


@pytest.mark.parametrize(
    "norm",
    [nn.BatchNorm1d(4), nn.BatchNorm2d(4), nn.InstanceNorm1d(4, affine=True), nn.LayerNorm(4),
     nn.GroupNorm(2, 4), nn.RMSNorm(4)],
    ids=lambda norm: type(norm).__name__,
)  # fmt: skip
def test_every_normalisation_layer_is_known(norm: nn.Module) -> None:
    plan = Plan(nn.Sequential(norm, nn.Linear(4, 1)), L1(1.0))
    roles = {entry.name: entry.role for entry in plan.entries}
    assert {roles[name] for name in roles if name.startswith("0.")} == {Role.NORM}
    assert chosen(plan) == {"1.weight"}


def test_embeddings_and_unknown_parameters_need_a_rule_that_names_them() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.fc = nn.Linear(3, 2)
            self.gate = nn.Parameter(torch.ones(2, 3))
            self.temperature = nn.Parameter(torch.tensor(1.0))

    assert chosen(Plan(Own(), {"gate": None, "*": L1(1.0)})) == {"fc.weight"}
    assert chosen(Plan(Own(), {"embed": L1(1.0)})) == {"embed.weight"}
    assert chosen(Plan(Own(), {nn.Embedding: L1(1.0)})) == {"embed.weight"}
    assert chosen(Plan(Own(), {"gate": L1(1.0), "*": L1(2.0)})) == {"gate", "fc.weight"}
    scalar = Plan(Own(), {"temperature": GroupL1(2.0)})
    assert scalar.value() == 2.0
    assert "scalar" in str(scalar)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # by torch.compile
@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile,
                                  lambda net: torch.compile(nn.DataParallel(net)),
                                  lambda net: nn.DataParallel(torch.compile(net))])  # fmt: skip
def test_wrappers_do_not_matter(wrap: Any) -> None:
    rules = {"conv1": L1(1.0), "fc.bias": L1(2.0), "head": GroupL1(3.0)}
    bare, net = Plan(network(), rules), network()
    wrapped = Plan(wrap(net), rules)
    assert penalties(wrapped) == penalties(bare)
    assert list(penalties(wrapped)) == list(penalties(bare))
    by_name = {entry.name: parameter for entry, _, parameter in wrapped.blocks()}
    assert by_name["conv1.weight"] is net.conv1.weight
    inside = Plan(nn.Sequential(OrderedDict(a=wrap(nn.Linear(2, 2)))), {"a": L1(1.0)})
    assert {entry.penalty for entry in inside.penalised} == {L1(1.0)}


def test_canonical_names() -> None:
    assert canonical("module.fc.weight") == "fc.weight"
    assert canonical("_orig_mod.module.fc.weight") == "fc.weight"
    assert canonical("a._orig_mod.weight") == "a.weight"
    assert canonical("fc.module.weight") == "fc.module.weight"


def test_tied_parameters_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.out = nn.Linear(3, 5, bias=False)
            self.out.weight = self.embed.weight

    net = Tied()
    with pytest.raises(PlanError, match=r"penalises nothing.*an embedding"):
        Plan(net, L1(2.0))  # also where it is a linear layer's weight
    plan = Plan(net, {"out": L1(2.0)})
    assert [entry.name for entry in plan.entries] == ["embed.weight"]
    assert "tied to out.weight, counted once" in plan.entries[0].reason
    assert plan.n_penalised == 15
    assert plan.value() == pytest.approx(2.0 * float(net.out.weight.detach().abs().double().sum()))
    assert chosen(Plan(net, {"out": L1(1.0)})) == {"embed.weight"}
    layer = nn.Linear(3, 3)
    twice = Plan(nn.Sequential(layer, nn.Tanh(), layer), L1(1.0))
    assert [entry.name for entry in twice.entries] == ["0.weight", "0.bias"]


def test_frozen_parameters_are_left_out() -> None:
    net = network()
    net.conv1.weight.requires_grad_(False)
    plan = Plan(net, L1(1.0))
    assert chosen(plan) == WEIGHTS - {"conv1.weight"}
    assert reasons(plan)["conv1.weight"] == "frozen: requires_grad is False"


# ------------------------------------------------------------------------------------- groups


def partition(plan: Plan, name: str) -> set[frozenset[int]]:
    """The groups of a parameter as sets of flat positions, read off a view of 0, 1, 2, …"""
    entry = next(entry for entry in plan.entries if entry.name == name)
    flat = torch.arange(plan.parameter(entry).numel()).reshape(entry.shape)
    rows = entry.grouping.view(flat)
    assert rows.shape == (entry.grouping.n_groups, entry.grouping.group_size)
    assert torch.equal(entry.grouping.restore(rows), flat)
    return {frozenset(row.tolist()) for row in rows}


def slices(weight: Tensor, *pieces: Any) -> set[frozenset[int]]:
    flat = torch.arange(weight.numel()).reshape(weight.shape)
    return {frozenset(torch.cat([flat[at].flatten() for at in piece]).tolist()) for piece in pieces}


ALL = slice(None)


def touched(layer: nn.Module, shape: tuple[int, ...], by: str) -> set[frozenset[int]]:
    """The groups of a convolution by brute force: which weights does each channel (pair) meet?"""
    n_in, n_out = layer.in_channels, layer.out_channels
    x = torch.randn(1, n_in, *shape, dtype=torch.float64)
    layer = layer.double()
    pairs: dict[tuple[int, int], set[int]] = {}
    for i in range(n_in):
        only = torch.zeros_like(x)
        only[:, i] = x[:, i]
        for o in range(n_out):
            (grad,) = torch.autograd.grad(layer(only)[0, o].sum(), layer.weight)
            pairs[o, i] = set(grad.flatten().nonzero().flatten().tolist())
    keys = {"filter": lambda o, i: o, "input": lambda o, i: i, "kernel": lambda o, i: (o, i)}[by]
    groups: dict[Any, set[int]] = {}
    for (o, i), weights in pairs.items():
        groups.setdefault(keys(o, i), set()).update(weights)
    return {frozenset(group) for group in groups.values() if group}


CONVOLUTIONS = {
    "1d": (lambda: nn.Conv1d(3, 4, 2), (5,)),
    "2d": (lambda: nn.Conv2d(3, 4, (2, 3)), (4, 5)),
    "3d": (lambda: nn.Conv3d(2, 3, 2), (3, 3, 3)),
    "grouped": (lambda: nn.Conv2d(4, 6, 2, groups=2), (3, 3)),
    "depthwise": (lambda: nn.Conv2d(3, 3, 2, groups=3), (3, 3)),
    "depthwise-multiplied": (lambda: nn.Conv1d(3, 6, 2, groups=3), (4,)),
    "transposed-1d": (lambda: nn.ConvTranspose1d(3, 4, 2), (4,)),
    "transposed-2d": (lambda: nn.ConvTranspose2d(2, 5, 2), (3, 3)),
    "transposed-3d": (lambda: nn.ConvTranspose3d(2, 3, 2), (2, 2, 2)),
    "transposed-grouped": (lambda: nn.ConvTranspose2d(4, 6, 2, groups=2), (3, 3)),
}


@pytest.mark.parametrize("by", ["filter", "input", "kernel"])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_groups_of_convolutions_are_what_a_channel_touches(kind: str, by: Any) -> None:
    torch.manual_seed(0)
    make, shape = CONVOLUTIONS[kind]
    layer = make()
    groups = partition(Plan(layer, GroupL1(1.0, by=by)), "weight")
    assert groups == touched(layer, shape, by)


@pytest.mark.parametrize("by", ["filter", "input", "kernel"])
def test_groups_of_a_linear_layer(by: Any) -> None:
    layer = nn.Linear(3, 4)
    expected = {
        "filter": slices(layer.weight, *[[(o, ALL)] for o in range(4)]),
        "input": slices(layer.weight, *[[(ALL, i)] for i in range(3)]),
        "kernel": slices(layer.weight, *[[(o, i)] for o in range(4) for i in range(3)]),
    }
    assert partition(Plan(layer, GroupL1(1.0, by=by)), "weight") == expected[by]


def test_groups_of_an_embedding() -> None:
    layer = nn.Embedding(5, 3)
    rows = partition(Plan(layer, {nn.Embedding: GroupL1(1.0, by="input")}), "weight")
    assert rows == slices(layer.weight, *[[(i, ALL)] for i in range(5)])
    columns = partition(Plan(layer, {nn.Embedding: GroupL1(1.0, by="filter")}), "weight")
    assert columns == slices(layer.weight, *[[(ALL, o)] for o in range(3)])


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_groups_of_recurrent_layers_hold_all_gates_of_a_unit(kind: Any, gates: int) -> None:
    layer = kind(3, 5, num_layers=2, bidirectional=True)
    for name, n_in in (("weight_ih_l0", 3), ("weight_hh_l0", 5), ("weight_ih_l1_reverse", 10)):
        weight = getattr(layer, name)
        plan = Plan(layer, GroupL1(1.0, by="filter"))
        units = [[(o + 5 * gate, ALL) for gate in range(gates)] for o in range(5)]
        assert partition(plan, name) == slices(weight, *units)
        plan = Plan(layer, GroupL1(1.0, by="input"))
        assert partition(plan, name) == slices(weight, *[[(ALL, i)] for i in range(n_in)])
        plan = Plan(layer, GroupL1(1.0, by="kernel"))
        pairs = [
            [(o + 5 * gate, i) for gate in range(gates)] for o in range(5) for i in range(n_in)
        ]
        assert partition(plan, name) == slices(weight, *pairs)
    assert all("weight" in name for name in chosen(Plan(layer, L1(1.0))))
    assert len(chosen(Plan(layer, L1(1.0), biases=True))) == 16


def test_groups_of_a_recurrent_cell() -> None:
    layer = nn.GRUCell(3, 4)
    units = [[(o + 4 * gate, ALL) for gate in range(3)] for o in range(4)]
    plan = Plan(layer, GroupL1(1.0))
    assert partition(plan, "weight_ih") == slices(layer.weight_ih, *units)


def test_groups_of_a_projected_lstm() -> None:
    layer = nn.LSTM(3, 5, proj_size=2)
    plan = Plan(layer, GroupL1(1.0, by="filter"))
    assert partition(plan, "weight_hr_l0") == slices(layer.weight_hr_l0, [(0, ALL)], [(1, ALL)])
    units = [[(o + 5 * gate, ALL) for gate in range(4)] for o in range(5)]
    assert partition(plan, "weight_hh_l0") == slices(layer.weight_hh_l0, *units)


def test_groups_of_attention() -> None:
    layer = nn.MultiheadAttention(4, 2, add_bias_kv=True)
    plan = Plan(layer, GroupL1(1.0))
    assert chosen(plan) == {"in_proj_weight", "out_proj.weight"}
    rows = slices(layer.in_proj_weight, *[[(o, ALL)] for o in range(12)])
    assert partition(plan, "in_proj_weight") == rows
    split = nn.MultiheadAttention(4, 2, kdim=3, vdim=2)
    names = {"q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"}
    assert chosen(Plan(split, L1(1.0))) == names


def test_groups_of_a_bilinear_layer() -> None:
    layer = nn.Bilinear(2, 3, 4)
    plan = Plan(layer, GroupL1(1.0, by="filter"))
    assert partition(plan, "weight") == slices(layer.weight, *[[(o,)] for o in range(4)])
    with pytest.raises(PlanError, match="'weight' has no input axis to group by"):
        Plan(layer, GroupL1(1.0, by="input"))


def test_a_bias_has_groups_of_one() -> None:
    plan = Plan(nn.Linear(3, 2), GroupL1(1.0), biases=True)
    assert partition(plan, "bias") == {frozenset({0}), frozenset({1})}


def test_single_weights_are_seen_as_they_are() -> None:
    plan = Plan(nn.Conv2d(2, 3, 2), L1(1.0))
    entry = plan.penalised[0]
    assert (entry.grouping.n_groups, entry.grouping.group_size) == (24, 1)
    weight = plan.parameter(entry)
    assert entry.grouping.view(weight) is weight
    assert entry.grouping.restore(weight) is weight


def test_a_wrong_layout_is_caught() -> None:
    # A grouped transposed convolution read as a plain one: what the brute force above rejects.
    layer = nn.ConvTranspose2d(4, 6, 2, groups=2)
    plan = Plan(layer, GroupL1(1.0))
    naive = Layout((1, 4, 3, 4), "giok")
    from shrinkage.plans.grouping import grouping

    wrong = grouping("weight", tuple(layer.weight.shape), naive, "filter")
    rows = wrong.view(torch.arange(48).reshape(layer.weight.shape))
    assert {frozenset(row.tolist()) for row in rows} != touched(layer, (3, 3), "filter")
    assert partition(plan, "weight") == touched(layer, (3, 3), "filter")


# -------------------------------------------------------------------------------------- print


def test_print_tells_all() -> None:
    text = str(Plan(network(), {"conv*": GroupL1(0.5), "head": None, "fc": L1(0.25)}))
    lines = {line.split()[0]: line for line in text.splitlines()}
    conv = lines["conv2.weight"]
    for part in ("6×4×3×3", "GroupL1(strength=0.5, by='filter')", "6 × 36", "rule 'conv*'"):
        assert part in conv
    assert "L1(strength=0.25)" in lines["fc.weight"]
    assert "480 × 1" in lines["fc.weight"]
    assert "—" in lines["head.weight"]
    assert "rule 'head' leaves it out" in lines["head.weight"]
    assert "a bias: biases=True" in lines["fc.bias"]
    assert text.splitlines()[-1] == "732 of 759 parameters penalised"
    unmatched = str(Plan(network(), {"conv1": L1(1.0)}))
    assert "no rule matches" in unmatched
    assert repr(Plan(network(), L1(1.0))) == "<Plan: 742 weights in 4 parameters>"


def test_print_shows_a_pattern_to_the_letter() -> None:
    net = nn.Sequential(OrderedDict(layera=nn.Linear(2, 2), layerb=nn.Linear(2, 2)))
    assert "rule 'layer[ab]'" in str(Plan(net, {"layer[ab]": L1(1.0)}))


# ------------------------------------------------------------------------- errors and warnings


def test_a_rule_that_matches_nothing() -> None:
    with pytest.raises(PlanError, match=r"rule 'covn1' matches nothing.*Did you mean 'conv1'\?"):
        Plan(network(), {"covn1": L1(1.0), "*": L1(1.0)})
    with pytest.raises(PlanError, match=r"rule LSTM matches nothing.*Conv2d, Linear.*conv1, conv2"):
        Plan(network(), {nn.LSTM: L1(1.0)})


def test_a_plan_that_penalises_nothing() -> None:
    with pytest.raises(PlanError, match=r"penalises nothing.*weight \(an embedding"):
        Plan(nn.Embedding(3, 2), L1(1.0))
    with pytest.raises(PlanError, match="penalises nothing"):
        Plan(network(), {"*": None})
    frozen = network().requires_grad_(False)
    with pytest.raises(PlanError, match=r"penalises nothing.*frozen"):
        Plan(frozen, L1(1.0))
    with pytest.raises(PlanError, match="no parameters"):
        Plan(nn.ReLU(), L1(1.0))


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_lazy_layer() -> None:
    net = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(PlanError, match=r"'0.weight' is not initialised.*Run one batch"):
        Plan(net, L1(1.0))
    net(torch.ones(1, 2))
    assert Plan(net, L1(1.0)).n_penalised == 6


@pytest.mark.parametrize(
    ("model", "rules", "message"),
    [
        ([nn.Linear(2, 2)], L1(1.0), "a plan needs a network: got list"),
        (torch.optim.SGD([torch.ones(1)], lr=1.0), L1(1.0), "needs a network: got SGD"),
        (nn.Linear(2, 2), 1e-4, "rules are of the wrong type: got float"),
        (nn.Linear(2, 2), None, "rules are of the wrong type: got NoneType"),
        (nn.Linear(2, 2), {"*": 1e-4}, r"the rule '\*' has no penalty: got 0.0001.*L1\(1e-4\)"),
        (nn.Linear(2, 2), {3: L1(1.0)}, "key is of the wrong type: got 3"),
        (nn.Linear(2, 2), {int: L1(1.0)}, "key is of the wrong type"),
        (nn.Linear(2, 2), {nn.Linear(2, 2): L1(1.0)}, "key is of the wrong type"),
    ],
)
def test_wrong_types(model: Any, rules: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Plan(model, rules)


def warned(model: nn.Module, rules: Any, **requests: bool) -> list[str]:
    """The plan's warnings; each must point at the line that made the plan."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Plan(model, rules, **requests)
    here = warned.__code__.co_firstlineno
    for warning in caught:
        assert warning.category is ShrinkageWarning
        assert warning.filename == __file__
        assert here < warning.lineno < here + 6
    return [str(w.message) for w in caught]


def test_weights_before_a_normalisation_layer_warn() -> None:
    net = nn.Sequential(OrderedDict(
        conv=nn.Conv2d(1, 4, 3), act=nn.ReLU(), norm=nn.BatchNorm2d(4), flat=nn.Flatten(),
        fc=nn.Linear(4, 2),
    ))  # fmt: skip
    (text,) = warned(net, L1(1.0))
    assert "conv.weight (before norm)" in text
    assert "fc.weight" not in text
    assert warned(net, {"fc": L1(1.0)}) == []
    assert warned(net, {"conv": L1(0.0), "fc": L1(1.0)}) == []  # strength 0 shrinks nothing

    class Block(nn.Module):  # outside a Sequential the order of definition is the only sign
        def __init__(self, width: int) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 3)
            self.bn = nn.BatchNorm1d(width)

    assert len(warned(Block(3), L1(1.0))) == 1
    assert warned(Block(2), L1(1.0)) == []


def test_a_shadowed_rule_warns() -> None:
    (text,) = warned(network(), {"*": L1(1.0), "conv1": L1(2.0)})
    assert "the rule 'conv1' never acts" in text
    assert "conv1.weight" in text
    assert warned(network(), {"conv1": L1(2.0), "*": L1(1.0)}) == []


def test_a_rule_that_penalises_nothing_warns() -> None:
    net = nn.Sequential(OrderedDict(norm=nn.LayerNorm(3), fc=nn.Linear(3, 1)))
    (text,) = warned(net, {"n*": L1(1.0), "fc": L1(1.0)})
    assert "the rule 'n*' penalises nothing: it matches only norm.weight, norm.bias" in text
    assert warned(net, {"n*": L1(1.0), "fc": L1(1.0)}, norms=True) == []


# ------------------------------------------------------------------------------ the loss's term


def by_hand(penalty: Penalty, w: Tensor) -> tuple[float, Tensor]:
    """Value and gradient of a penalty on a convolution's weight, filter by filter."""
    match penalty:
        case L1(s):
            return s * float(w.abs().sum()), s * w.sign()
        case L2(s):
            return s * float((w * w).sum()), 2 * s * w
        case ElasticNet(l1, l2):
            return l1 * float(w.abs().sum()) + l2 * float((w * w).sum()), (
                l1 * w.sign() + 2 * l2 * w
            )
        case GroupL1(s, "filter"):
            value, grad = 0.0, torch.zeros_like(w)
            for o in range(len(w)):
                norm = sqrt(sum(float(v) ** 2 for v in w[o].flatten()))
                value += s * sqrt(w[o].numel()) * norm
                grad[o] = s * sqrt(w[o].numel()) * w[o] / norm
            return value, grad
    raise AssertionError(penalty)


PENALTIES = [L1(0.3), L2(0.7), ElasticNet(l1=0.2, l2=0.5), GroupL1(0.4)]


@pytest.mark.parametrize("penalty", PENALTIES, ids=lambda p: type(p).__name__)
def test_penalty_equals_the_hand_computation(penalty: Penalty) -> None:
    torch.manual_seed(0)
    net = network().double()
    plan = Plan(net, {"conv2": penalty, "fc": penalty})
    pairs = [(net.conv2.weight, *by_hand(penalty, net.conv2.weight.detach())),
             (net.fc.weight, *by_hand(penalty, net.fc.weight.detach()))]  # fmt: skip
    total = plan.penalty()
    assert total.ndim == 0
    assert total.requires_grad
    assert plan.applied == "term"
    assert total.item() == pytest.approx(sum(value for _, value, _ in pairs), rel=1e-12)
    assert plan.value() == pytest.approx(total.item(), rel=1e-12)
    total.backward()
    for weight, _, grad in pairs:
        torch.testing.assert_close(weight.grad, grad, rtol=1e-12, atol=0)
    assert net.conv1.weight.grad is None
    assert net.fc.bias.grad is None


def test_value_sums_in_float64_without_acting() -> None:
    net = nn.Linear(1000, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(0.1)
    plan = Plan(net, L2(1.0))
    assert plan.value() == pytest.approx(1000 * float(torch.tensor(0.1)) ** 2, rel=1e-14)
    assert plan.applied is None


def test_scaled_multiplies_every_strength() -> None:
    net = network()
    plan = Plan(net, {"conv1": ElasticNet(1.0, 2.0), "conv2": None, "*": GroupL1(3.0)}, biases=True)
    half = plan.scaled(0.5)
    assert half.model is net
    assert penalties(half)["conv1.bias"] == ElasticNet(0.5, 1.0)
    assert penalties(half)["head.weight"] == GroupL1(1.5)
    assert penalties(half)["conv2.weight"] is None
    assert half.value() == pytest.approx(plan.value() / 2, rel=1e-12)
    assert plan.scaled(0.0).value() == 0.0
    assert chosen(plan.scaled(0.0)) == chosen(plan)
    with pytest.raises(ValueError, match="factor"):
        plan.scaled(-1.0)


def test_the_plan_follows_reassigned_parameters() -> None:
    net = nn.Linear(2, 1)
    plan = Plan(net, L1(1.0))
    net.weight = nn.Parameter(torch.tensor([[3.0, -4.0]]))
    assert plan.value() == 7.0


def test_the_term_and_a_handle_exclude_each_other() -> None:
    net = nn.Linear(2, 1)
    plan = Plan(net, L1(1.0))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    handle = attach(optimizer, plan)
    with pytest.raises(PlanError, match=r"act twice.*handle.remove\(\)"):
        plan.penalty()
    assert plan.value() > 0
    handle.remove()
    assert plan.penalty().item() == pytest.approx(plan.value())


@pytest.mark.parametrize("scheduled", [False, True])
def test_the_term_works_again_once_optimizer_and_handle_are_gone(scheduled: bool) -> None:
    net = nn.Linear(2, 1)
    plan = Plan(net, L1(1.0))

    def train() -> None:
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        attach(optimizer, plan)
        if scheduled:
            torch.optim.lr_scheduler.StepLR(optimizer, 1)

    gc.disable()  # the answer must not depend on when the collector happens to run
    try:
        train()
        assert plan.penalty().item() == pytest.approx(plan.value())
        train()
        train()  # a second attach, too
    finally:
        gc.enable()
