"""What a plan leaves out or takes: None rules, layers that are not known, ties, frozen layers."""

import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.nn.utils.parametrize import register_parametrization

import shrinkage as sh
from shrinkage.errors import AttachError, PlanError, ShrinkageWarning
from shrinkage.plans import Plan


def chosen(plan: Plan) -> set[str]:
    return {entry.name for entry in plan.penalised}


def told(net: nn.Module, rules: Any, **requests: bool) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Plan(net, rules, **requests)
    assert all(w.category is ShrinkageWarning and w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


# ------------------------------------------------------------------------- a None rule protects


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.act = nn.Tanh()
        self.norm = nn.BatchNorm1d(4)


class Headed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = Block()
        self.act = nn.Tanh()
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 1)


HEAD = {"head.weight", "head.bias", "norm.weight", "norm.bias"}


@pytest.mark.parametrize("key", ["backbone*", "backbone", "backbone.*", Block], ids=str)
def test_none_protects_biases_and_norms(key: Any) -> None:
    bare = Plan(Headed(), {key: None, nn.BatchNorm1d: sh.L1(1.0)})
    assert chosen(bare) == {"norm.weight", "norm.bias"}
    full = Plan(Headed(), {key: None, "*": sh.L1(1.0)}, biases=True, norms=True)
    assert chosen(full) == HEAD
    by_name = Plan(Headed(), {key: None, "*.weight": sh.L1(1.0), "*.bias": sh.L1(1.0)}, norms=True)
    assert chosen(by_name) == HEAD
    reasons = {entry.name: entry.reason for entry in full.entries}
    assert all(
        reason.endswith(" leaves it out")
        for name, reason in reasons.items()
        if name.startswith("backbone")
    )


def test_none_for_parameter_names_and_types() -> None:
    net = Headed()
    without = Plan(net, {"*.bias": None, "*": sh.L1(1.0)}, biases=True, norms=True)
    assert chosen(without) == {"backbone.fc.weight", "backbone.norm.weight", "norm.weight",
                               "head.weight"}  # fmt: skip
    types = Plan(net, {nn.BatchNorm1d: None, "*": sh.L1(1.0)}, biases=True, norms=True)
    assert chosen(types) == {"backbone.fc.weight", "backbone.fc.bias", "head.weight", "head.bias"}


def test_the_first_match_wins_over_none_and_a_late_none_says_that_it_never_acts() -> None:
    net = Headed()
    (text,) = told(net, {nn.Linear: sh.L1(1.0), "backbone*": None})
    assert "the rule 'backbone*' never acts" in text
    (text,) = told(net, {"backbone": None, "backbone.fc": sh.L1(1.0), "*": sh.L1(2.0)})
    assert "the rule 'backbone.fc' never acts" in text
    assert told(net, {"backbone*": None, nn.Linear: sh.L1(1.0)}) == []


def test_protected_norms_keep_their_values() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(Headed().backbone.fc, nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
    with torch.no_grad():
        net[1].bias.fill_(0.3)
    rules = sh.Rules({"1": None, "*": sh.L1(1.0)}, biases=True, norms=True)
    with pytest.warns(ShrinkageWarning, match="undoes the size"):
        plan = Plan(net, rules)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, plan)
    for _ in range(20):
        optimizer.zero_grad()
        (0.0 * net(torch.ones(2, 4)).sum()).backward()
        optimizer.step()
    assert torch.equal(net[1].bias, torch.full((4,), 0.3))
    assert (net[3].weight == 0).all()


# ------------------------------------------------------------------------- layers not known


class Experts(nn.Module):
    """Three layers of their own in one tensor: 4 inputs, 2 outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(3, 2, 4))
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("goi,ni->ngo", self.up, x).flatten(1)


def mixture(experts: nn.Module) -> nn.Sequential:
    return nn.Sequential(experts, nn.Linear(6, 1))


def test_a_matrix_that_is_left_out_is_told_once() -> None:
    (text,) = told(mixture(Experts()), sh.L1(1.0))
    assert "leaves out a matrix, 24 of 34 weights: 0.up (Experts)" in text
    assert 'sh.register_layer(Experts, {"up": "goi"})' in text
    assert "{'0.up': None}" in text
    many = nn.Sequential(*[mixture(Experts()) for _ in range(5)])
    (text,) = told(many, {nn.Module: sh.L1(1.0)})
    assert "leaves out 5 matrices, 120 of 170 weights: 0.0.up (Experts), 1.0.up (Experts), " in text
    assert "and 2 more" in text


@pytest.mark.parametrize(
    "rules",
    [
        {"0.up": None, "*": sh.L1(1.0)},
        {"0": None, "*": sh.L1(1.0)},
        {Experts: None, "*": sh.L1(1.0)},
        {"1": sh.L1(1.0)},
        {nn.Linear: sh.L1(1.0)},
        {"0.up": sh.L1(1.0), "*": sh.L1(2.0)},
        {"0": sh.L1(1.0)},
        sh.L1(0.0),
    ],
    ids=str,
)
def test_what_was_said_is_not_told(rules: Any) -> None:
    assert told(mixture(Experts()), rules) == []


def test_a_plan_of_nothing_but_unknown_layers_says_what_to_do() -> None:
    with pytest.raises(PlanError, match=r"penalises nothing.*register_layer\(Experts, "):
        Plan(Experts(), sh.L1(1.0))
    assert chosen(Plan(Experts(), {Experts: sh.L1(1.0)})) == {"up", "scale"}


def test_the_line_in_the_warning_works() -> None:
    class Own(Experts): ...

    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.ParameterDict({"a": torch.randn(2, 3), "b": torch.randn(3)})
            self.list = nn.ParameterList([torch.randn(2, 3), torch.randn(4, 3)])
            self.fc = nn.Linear(3, 2)

    for net, names in (
        (mixture(Own()), {"0.up", "1.weight"}),
        (Held(), {"table.a", "list.0", "list.1", "fc.weight"}),
    ):
        (text,) = told(net, sh.L1(1.0))
        line = text.partition("not known: ")[2].partition(" makes")[0]
        for call in line.split("; "):
            exec(call, {"sh": sh, "Own": Own, "Held": Held})  # noqa: S102
        assert told(net, sh.L1(1.0)) == []
        assert chosen(Plan(net, sh.L1(1.0))) == names


def rows(plan: Plan, name: str) -> set[frozenset[int]]:
    """The groups of a parameter, as sets of places."""
    (entry,) = (e for e in plan.entries if e.name == name)
    places = torch.arange(plan.parameter(entry).numel()).reshape(entry.shape)
    return {frozenset(row.tolist()) for row in entry.grouping.view(places)}


def test_registered_axes_make_groups() -> None:
    class Own(Experts): ...

    class Derived(Own): ...

    sh.register_layer(Own, {"up": "goi"})
    net = mixture(Derived())
    places = torch.arange(24).reshape(3, 2, 4)
    by = {
        "filter": [places[g, o] for g in range(3) for o in range(2)],
        "input": [places[g, :, i] for g in range(3) for i in range(4)],
        "kernel": list(places.reshape(-1, 1)),
    }
    for name, expected in by.items():
        groups = rows(Plan(net, sh.GroupL1(1.0, by=name)), "0.up")
        assert groups == {frozenset(group.tolist()) for group in expected}
    with torch.no_grad():
        net[0].up[1, 1] = 0
    first = sh.measure(net, Plan(net, sh.L1(1.0))).weights.layers[0]
    assert (first.units, first.zero_units) == (6, 1)
    sh.register_layer(Derived, {"up": "oi"})
    with pytest.raises(PlanError, match=r"'up' do not fit: got 'oi' for the shape \(3, 2, 4\)"):
        Plan(net, sh.L1(1.0))


@pytest.mark.parametrize(
    ("kind", "axes", "words"),
    [
        (3, {"a": "oi"}, r"only the class .* got 3"),
        (int, {"a": "oi"}, r"only the class .* got the class int"),
        ("Experts", {"a": "oi"}, r"only the class .* got 'Experts'"),
        (nn.Linear(2, 2), {"a": "oi"}, r"only the class .*Pass its class: register_layer\(Linear"),
        (Experts, "oi", r"not given by name: got 'oi'"),
        (Experts, {}, r"not given by name: got {}"),
        (Experts, None, r"not given by name: got None"),
        (Experts, {3: "oi"}, r"not given by name: got {3: 'oi'}"),
        (Experts, {"up": None}, r"axes of 'up' cannot be read: got None: no text"),
        (Experts, {"up": "ox"}, r"'up' cannot be read: got 'ox': the letter 'x' is unknown"),
        (Experts, {"up": "ooi"}, r"'up' cannot be read: got 'ooi': 'o' stands there twice"),
        (Experts, {"up": "kk"}, r"'up' cannot be read: got 'kk': no axis is of outputs or inputs"),
        (Experts, {"up": ""}, r"'up' cannot be read: got '': no axis is of outputs or inputs"),
    ],
    ids=str,
)
def test_a_registration_of_the_wrong_type(kind: Any, axes: Any, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        sh.register_layer(kind, axes)
    assert told(mixture(Experts()), sh.L1(1.0)) != []


def test_a_registered_name_that_no_layer_of_the_class_has_is_refused() -> None:
    class Misspelt(Experts):
        def __init__(self) -> None:
            super().__init__()
            self.register_parameter("gate", None)

    for axes, wrong in (({"upp": "goi"}, "upp"), ({"up": "goi", "down.*": "oi"}, "down.*")):
        sh.register_layer(Misspelt, axes)
        with pytest.raises(PlanError, match=rf"does not have: got '{re.escape(wrong)}'") as error:
            Plan(mixture(Misspelt()), sh.L1(1.0))
        assert ("Did you mean 'up'?" in str(error.value)) == (wrong == "upp")
        assert told(mixture(Experts()), sh.L1(1.0)) != []  # others are no concern of it
    sh.register_layer(Misspelt, {"up": "goi", "gate": "oi"})  # declared, and left out here
    plan = Plan(mixture(Misspelt()), sh.L1(1.0))
    assert "0.up" in chosen(plan)
    parametrised = mixture(Misspelt())
    weight_norm(parametrised[0], "up")
    assert "0.parametrizations.up.original0" in chosen(Plan(parametrised, sh.L1(1.0)))


def test_the_line_that_registers_more_keeps_what_is_registered() -> None:
    class Two(Experts):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Parameter(torch.randn(3, 4, 2))

    sh.register_layer(Two, {"down": "goi"})
    net = mixture(Two())
    (text,) = told(net, sh.L1(1.0))
    assert 'sh.register_layer(Two, {"down": "goi", "up": "goi"})' in text
    sh.register_layer(Two, {"down": "goi", "up": "goi"})
    assert told(net, sh.L1(1.0)) == []
    assert {"0.up", "0.down"} <= chosen(Plan(net, sh.L1(1.0)))


def test_compact_says_once_why_registered_layers_stay() -> None:
    class Mixed(Experts):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.einsum("goi,bi->bo", self.up, x)

    sh.register_layer(Mixed, {"up": "goi"})
    net = nn.Sequential(nn.Linear(4, 4), Mixed(), nn.Linear(2, 4), Mixed()).eval()
    with torch.no_grad():
        net[1].up[:, 1] = 0
    notes = sh.compact(net, torch.randn(5, 4), batch_sizes=()).report.notes
    assert [note for note in notes if "register_layer" in note] == [
        "1.up and 1 more: kept as it is: register_layer tells plans what Mixed has, and what it "
        "computes of it is not followed here"
    ]


def test_what_a_derived_layer_adds_is_not_its_weight() -> None:
    class Scaled(nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 3)
            self.scale = nn.Parameter(torch.ones(3))

    assert chosen(Plan(Scaled(), sh.L1(1.0))) == {"weight"}


def test_norms_of_other_packages_are_norms() -> None:
    class RootNorm2d(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

    class NormalLayer(nn.Module):  # the word alone does not make one
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

    net = nn.Sequential(RootNorm2d(), NormalLayer(), nn.Linear(4, 1))
    assert chosen(Plan(net, {"?": sh.L1(1.0)})) == {"2.weight"}
    assert chosen(Plan(net, {"[0-2]": sh.L1(1.0)})) == {"1.weight", "2.weight"}
    assert chosen(Plan(net, sh.L1(1.0), norms=True)) == {"0.weight", "2.weight"}
    assert chosen(Plan(net, {RootNorm2d: sh.L1(1.0)})) == {"0.weight"}


def test_tables_of_positions_and_biases_are_no_matrices() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pos_embed = nn.Parameter(torch.randn(1, 5, 4))
            self.cls_token = nn.Parameter(torch.randn(1, 1, 4))
            self.relative_position_bias_table = nn.Parameter(torch.randn(5, 2))
            self.gamma = nn.Parameter(torch.ones(4, 1, 1))
            self.fc = nn.Linear(4, 1)

    assert told(Net(), sh.L1(1.0)) == []
    assert chosen(Plan(Net(), sh.L1(1.0))) == {"fc.weight"}
    assert chosen(Plan(Net(), {"pos_embed": sh.L1(1.0)})) == {"pos_embed"}


def test_complex_weights_beside_real_ones() -> None:
    class Spectral(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3, 3, dtype=torch.complex64))

    net = nn.Sequential(Spectral(), nn.Linear(3, 1))
    (text,) = told(net, sh.L1(1.0))
    assert "0.weight (Spectral)" in text
    assert chosen(Plan(net, {"0.weight": None, "*": sh.L1(1.0)})) == {"1.weight"}
    with pytest.raises(PlanError, match=r"'0.weight' is complex.*\{'0.weight': None"):
        Plan(net, {"0": sh.L1(1.0)})


def test_a_parameter_without_numbers_has_groups() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.Identity())
    net[1].register_parameter("empty", nn.Parameter(torch.zeros(0, 4)))
    plan = Plan(net, {"1": sh.GroupL1(1.0), "0": sh.GroupL1(1.0)})
    assert plan.value() == pytest.approx(
        3**0.5 * float(net[0].weight.detach().norm(dim=1).sum()), rel=1e-6
    )


# ------------------------------------------------------------------------- known by their name


def test_conv1d_is_known_the_right_way_round() -> None:
    from transformers.pytorch_utils import Conv1D

    torch.manual_seed(0)
    net = nn.Sequential(Conv1D(5, 3))  # 3 inputs, 5 outputs
    for by, n, place in (("filter", 5, 1), ("input", 3, 0)):
        plan = Plan(net, sh.GroupL1(1.0, by=by))
        places = torch.arange(15).reshape(3, 5).movedim(place, 0)
        assert rows(plan, "0.weight") == {frozenset(row.tolist()) for row in places}
        assert plan.penalised[0].grouping.n_groups == n
    with torch.no_grad():  # a group by filter is what one output is made of
        x, before = torch.randn(2, 3), net(torch.ones(2, 3))
        entry = Plan(net, sh.GroupL1(1.0)).penalised[0]
        groups = entry.grouping.view(net[0].weight.clone())
        groups[3] = 0
        net[0].weight.copy_(entry.grouping.restore(groups))
        assert (net(x)[:, 3] == net[0].bias[3]).all()
        assert before.shape == (2, 5)


def test_gpt2_and_mixtral() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, MixtralConfig, MixtralForCausalLM

    config = GPT2Config(
        n_layer=1,
        n_embd=8,
        n_head=2,
        vocab_size=20,
        n_positions=8,
        bos_token_id=None,
        eos_token_id=None,
    )
    gpt = GPT2LMHeadModel(config)
    layers = {f"transformer.h.0.{name}.weight"
              for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")}  # fmt: skip
    assert chosen(Plan(gpt, sh.L1(1.0))) == layers
    assert chosen(Plan(gpt, {GPT2LMHeadModel: sh.L1(1.0)})) == layers
    assert chosen(Plan(gpt, {"transformer.h*": sh.L1(1.0)})) == layers
    assert chosen(Plan(gpt, {"lm_head": sh.L1(1.0)})) == {"transformer.wte.weight"}
    assert chosen(Plan(gpt, {"*wte": sh.L1(1.0)})) == {"transformer.wte.weight"}
    with pytest.raises(PlanError, match="an embedding"):
        Plan(gpt, {nn.Linear: sh.L1(1.0)})
    assert chosen(Plan(gpt, {"lm_head": None, "*": sh.L1(1.0)})) == layers
    config = MixtralConfig(
        hidden_size=8, intermediate_size=6, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=3, vocab_size=20,
    )  # fmt: skip
    (text,) = told(MixtralForCausalLM(config), sh.L1(1.0))
    assert "experts.gate_up_proj (MixtralExperts)" in text
    assert "leaves out 3 matrices, 456 of" in text  # 3·(12·8 + 8·6) of experts, 3·8 that choose


# ------------------------------------------------------------------------- ties


def test_two_layers_of_one_weight_count_once() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    plan = Plan(net, sh.L1(2.0))
    assert plan.n_penalised == 9
    assert plan.value() == pytest.approx(2 * float(net[0].weight.detach().abs().sum()), rel=1e-6)
    assert chosen(Plan(net, {"2": None, "*": sh.L1(1.0)}, biases=True)) == {"0.bias"}


def test_a_tied_embedding_prints_that_it_is_one() -> None:
    net = nn.Sequential(nn.Linear(3, 5, bias=False), nn.Embedding(5, 3), nn.Linear(3, 1))
    net[1].weight = net[0].weight
    plan = Plan(net, sh.L1(1.0))
    assert chosen(plan) == {"2.weight"}
    reason = plan.entries[0].reason
    assert reason.startswith("an embedding")
    assert "tied to 1.weight" in reason
    assert chosen(Plan(net, {nn.Embedding: sh.L1(1.0)})) == {"0.weight"}


# ------------------------------------------------------------------------- frozen


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x), x[:, :1]).backward()
        optimizer.step()


def half_frozen() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    net[0].requires_grad_(False)
    return net


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_a_layer_that_was_frozen_is_penalised_once_it_is_trained(kind: Any) -> None:
    net = half_frozen()
    plan = Plan(net, sh.L1(0.05))
    optimizer = kind(net.parameters(), lr=0.02)
    handle = sh.attach(optimizer, plan)
    before = net[0].weight.clone()
    train(net, optimizer, 20)
    assert torch.equal(before, net[0].weight)
    assert (plan.n_penalised, chosen(plan)) == (4, {"2.weight"})
    assert sh.certify(net, plan, (torch.ones(4, 3), torch.ones(4, 1))).penalised == 4
    frozen = next(line for line in str(plan).splitlines() if line.startswith("0.weight"))
    assert "—" in frozen
    assert "frozen: requires_grad is False" in frozen
    handle.load_state_dict(handle.state_dict())
    net[0].requires_grad_(True)
    train(net, optimizer, 300)
    assert plan.n_penalised == 16
    assert int((net[0].weight == 0).sum()) > 0
    assert sh.certify(net, plan, (torch.ones(4, 3), torch.ones(4, 1))).penalised == 16
    row = next(line for line in str(plan).splitlines() if line.startswith("0.weight"))
    assert "rule '*'; was frozen when the plan was made" in row
    assert "frozen: requires_grad is False" not in str(plan)
    net[0].requires_grad_(False)
    net[2].requires_grad_(False)
    assert "rule '*'; frozen since the plan was made" in str(plan)
    net.requires_grad_(True)
    total = sum(float(p.detach().abs().sum()) for _, _, p in plan.blocks())
    assert plan.value() == pytest.approx(0.05 * total, rel=1e-6)


def test_a_layer_that_the_optimizer_does_not_have_is_asked_for() -> None:
    net = half_frozen()
    optimizer = torch.optim.Adam((p for p in net.parameters() if p.requires_grad), lr=0.02)
    sh.attach(optimizer, Plan(net, sh.L1(0.05)))
    train(net, optimizer, 15)
    net[0].requires_grad_(True)
    with pytest.raises(AttachError, match=r"'0.weight' is trained now.*add_param_group"):
        train(net, optimizer, 1)
    optimizer.add_param_group({"params": list(net[0].parameters())})
    train(net, optimizer, 300)
    assert int((net[0].weight == 0).sum()) > 0


def test_two_plans_cannot_wait_for_one_frozen_layer() -> None:
    net = half_frozen()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    sh.attach(optimizer, Plan(net, {"0": sh.L1(0.1), "2": sh.L1(0.1)}))
    net[2].requires_grad_(False)
    net[0].requires_grad_(True)
    with pytest.raises(PlanError, match=r"'0.weight' has a penalty at work already"):
        sh.attach(optimizer, Plan(net, {"0": sh.L2(0.1)}))


def test_the_term_in_the_loss_reaches_it_too() -> None:
    net = half_frozen()
    plan = Plan(net, sh.L1(0.05))
    plan.penalty().backward()
    assert net[0].weight.grad is None
    net[0].requires_grad_(True)
    plan.penalty().backward()
    assert torch.equal(net[0].weight.grad, 0.05 * net[0].weight.detach().sign())


def test_a_layer_that_came_after_the_plan_is_told() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    plan = Plan(net, sh.L1(1.0))
    net.append(nn.Linear(4, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.warns(ShrinkageWarning, match=r"does not know 2 parameters.*'2.weight'"):
        sh.attach(optimizer, plan)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_scripted_network_is_refused_and_its_own_plan_acts_on_it() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    scripted = torch.jit.script(net)
    with pytest.raises(PlanError, match=r"scripted network.*before torch.jit.script"):
        Plan(scripted, sh.L1(1.0))
    optimizer = torch.optim.SGD(scripted.parameters(), lr=0.02)
    sh.attach(optimizer, Plan(net, sh.L1(0.2)))
    train(scripted, optimizer, 100)
    assert int((next(scripted.parameters()) == 0).sum()) > 0


def test_a_layer_of_several_parameters_is_named_once() -> None:
    """A chain of two parametrizations: both originals are left out by one rule."""
    first = weight_norm(nn.Linear(4, 4))
    register_parametrization(first, "weight", nn.Identity())
    (said,) = told(nn.Sequential(first, nn.Linear(4, 2)), sh.L1(0.1))
    assert said.endswith("Rules say that it is meant: {'0.weight': None}")


def test_kernels_have_their_outputs_last() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.ones(4, 3))
            self.depth_kernel = nn.Parameter(torch.ones(3, 3, 4, 2))

    (said,) = told(nn.Sequential(Layer(), nn.Linear(3, 2)), sh.L1(0.1))
    assert '{"kernel": "io", "depth_kernel": "kkio"}' in said
