"""Coupled groups: what vanishes together, as a penalty and as something that can be cut out."""

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import shrinkage as sh
from architectures import ARCHITECTURES, example
from shrinkage.errors import CompactionError, PenaltyError, PlanError
from shrinkage.graph.sets import UnitSet, unit_sets
from shrinkage.optim import Metric
from shrinkage.optim.metrics import Reading
from shrinkage.optim.stacked import stacked


def sets(name: str) -> list[UnitSet]:
    torch.manual_seed(0)
    return list(unit_sets(ARCHITECTURES[name](), (example(1),)))


def members(unit_set: UnitSet) -> set[str]:
    return {member.name for member in unit_set.members}


def planned(name: str, strength: float = 0.1, seed: int = 0) -> tuple[nn.Module, sh.Plan]:
    torch.manual_seed(seed)
    model = ARCHITECTURES[name]()
    with warnings.catch_warnings():  # of units that must stay, before a norm
        warnings.simplefilter("ignore", sh.ShrinkageWarning)
        plan = sh.Plan(model, sh.GroupL1(strength, coupled=True), example_inputs=example(1))
    return model, plan


# What vanishes together


def test_a_residual_stream_is_one_set() -> None:
    (stream,) = (s for s in sets("ResNet, basic blocks") if "5.two.0.weight" in members(s))
    assert members(stream) == {
        f"{layer}.{local}"
        for layer in ("4.two", "4.short", "5.two")
        for local in ("0.weight", "1.weight", "1.bias")
    }
    assert (stream.n_units, stream.pinned) == (12, None)


def test_concatenations_keep_their_places() -> None:
    found = sets("DenseNet")
    (second,) = (s for s in found if "convs.1.weight" in members(s))
    rows = {m.name: m.rows.flatten().tolist() for m in second.members}
    assert rows["convs.1.weight"] == list(range(6))
    assert rows["norms.2.weight"] == rows["norm.bias"] == list(range(14, 20))


def test_groups_are_coupled_place_by_place() -> None:
    (inner,) = (s for s in sets("grouped bottleneck") if "3.one.0.weight" in members(s))
    (rows,) = (m.rows.tolist() for m in inner.members if m.name == "3.one.0.weight")
    assert rows == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]


def test_depthwise_filters_go_with_what_they_read() -> None:
    (both,) = (s for s in sets("depthwise separable") if "3.depth.0.weight" in members(s))
    assert {"0.weight", "1.weight", "1.bias", "3.depth.1.bias"} < members(both)


@pytest.mark.parametrize(
    ("name", "layer", "why"),
    [
        ("U-Net", "out", "an output of the network"),
        ("MLP-Mixer", "embed", "layer_norm is not followed"),
        ("channel shuffle", "0", "view: sizes that do not follow the units"),
    ],
)
def test_what_must_stay_says_why(name: str, layer: str, why: str) -> None:
    (found,) = (s for s in sets(name) if f"{layer}.weight" in members(s))
    assert why in str(found.pinned)


@pytest.mark.parametrize(
    "name",
    ["VGG with batch norm", "ResNet, basic blocks", "ResNet, bottlenecks", "depthwise separable",
     "ResNet, pre-activation", "U-Net"],
)  # fmt: skip
def test_torch_pruning_couples_the_same(name: str) -> None:
    """An independent dependency graph, on networks that it knows how to follow."""
    pruning = pytest.importorskip("torch_pruning")
    torch.manual_seed(0)
    model = ARCHITECTURES[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = pruning.DependencyGraph().build_dependency(model, example(1))
    names = {id(p): key for key, p in model.named_parameters()}
    theirs = set()
    for group in graph.get_all_groups():
        found = set()
        for dependency, _ in group:
            layer, fn = dependency.target.module, dependency.handler
            if graph.is_out_channel_pruning_fn(fn) and isinstance(layer, nn.Module):
                found |= {names[id(p)] for p in layer.parameters(recurse=False)}
        theirs.add(frozenset(found))
    ours = {frozenset(members(s)) for s in unit_sets(model, (example(1),)) if s.pinned is None}
    assert ours <= theirs


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_zero_group_can_always_be_removed(name: str) -> None:
    """Nothing of it is left, neither rows nor norms, whatever statistics the norms have."""
    model, plan = planned(name)
    assert plan.coupled
    rows: dict[str, int] = {}
    with torch.no_grad():
        for key, buffer in model.named_buffers():
            if key.endswith("running_mean"):
                buffer.normal_()
        for group in plan.coupled:
            parameters = [plan.parameter(part.entry) for part in group.parts]
            stack = group.gather(parameters)
            stack[1] = 0.0
            for parameter, new in zip(parameters, group.scatter(stack, parameters), strict=True):
                parameter.copy_(new)
            for part in group.parts:
                rows[part.entry.path] = rows.get(part.entry.path, 0) + part.rows.shape[1]
    small = sh.compact(model.eval(), example(), batch_sizes=()).model
    for path, gone in rows.items():
        before, after = model.get_parameter(path), small.get_parameter(path)
        layer = model.get_submodule(path.rpartition(".")[0])
        axis = int(isinstance(layer, nn.ConvTranspose2d) and before.ndim > 1)
        assert before.shape[axis] - after.shape[axis] == gone, path


# The penalty


def test_the_value_is_the_sum_over_groups() -> None:
    model, plan = planned("ResNet, bottlenecks", 0.3)
    total = 0.0
    state = {k: v.double() for k, v in model.named_parameters()}
    for unit_set in unit_sets(model, (example(1),)):
        for unit in range(unit_set.n_units):
            parts = [
                state[m.name].index_select(m.dim, m.rows[unit]).flatten()
                for m in unit_set.members
                if unit_set.pinned is None or m.name.endswith("7.weight")
            ]
            group = torch.cat(parts)
            total += 0.3 * len(group) ** 0.5 * float(group.norm().detach())
    assert plan.value() == pytest.approx(total, rel=1e-12)
    assert float(plan.penalty().detach()) == pytest.approx(total, rel=1e-5)
    assert plan.scaled(2).value() == pytest.approx(2 * total, rel=1e-12)


def test_gather_and_scatter_are_inverse() -> None:
    _, plan = planned("grouped bottleneck")
    for group in plan.coupled:
        tensors = [plan.parameter(part.entry).detach() for part in group.parts]
        stack = group.gather(tensors)
        assert stack.shape == (group.entry.grouping.n_groups, group.entry.grouping.group_size)
        assert all(map(torch.equal, group.scatter(stack, tensors), tensors))
        changed = group.scatter(2 * stack, tensors)
        assert torch.equal(group.gather(changed), 2 * stack)


def test_the_plan_shows_its_groups() -> None:
    _, plan = planned("ResNet, basic blocks")
    text = str(plan)
    assert "coupled 2: 9 groups × 83: 3.one.0.weight (81), 3.one.1.bias (1)" in text
    assert "coupled; vanishes with" in text
    assert "its own filters: an output of the network" in " ".join(text.split())


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_one_step_is_the_prox_of_the_stacked_rows(kind: type[torch.optim.Optimizer]) -> None:
    model, plan = planned("ResNet, basic blocks", 0.02)
    twin = copy.deepcopy(model)
    handle = sh.attach(kind(model.parameters(), lr=0.01), plan, method="prox")
    other = kind(twin.parameters(), lr=0.01)
    x, y = example(4), torch.tensor([0, 1, 2, 3])
    for network, optimizer in ((model, handle.optimizer), (twin, other)):
        cross_entropy(network(x), y).backward()
        optimizer.step()
    reference = sh.Plan(twin, plan.rules, example_inputs=x)
    for ours, theirs in zip(plan.terms(), reference.terms(), strict=True):
        steps: float | Tensor = 0.01
        if kind is torch.optim.Adam:
            squares = [other.state[p]["exp_avg_sq"] / 0.001 for p in theirs.parameters]
            steps = 0.01 / (theirs.gathered(squares).sqrt() + 1e-8)
        view = theirs.entry.grouping.view
        w = view(theirs.read().detach())
        expected = theirs.penalty.prox(w, view(steps) if isinstance(steps, Tensor) else steps)
        if kind is torch.optim.Adam:  # no weight moves further than Adam itself moves one
            moved = (expected - w).abs().amax(dim=1, keepdim=True)
            reach = 0.01 * (1 - 0.9) / (1 - 0.999) ** 0.5
            expected = torch.lerp(w, expected, (reach / moved).clamp(max=1))
        torch.testing.assert_close(view(ours.read()), expected, rtol=1e-4, atol=1e-6)


def test_the_loss_term_and_its_method_are_the_same() -> None:
    x, y = example(4), torch.tensor([0, 1, 2, 3])
    model, plan = planned("ResNet, basic blocks", 0.02)
    twin, term = planned("ResNet, basic blocks", 0.02)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sh.attach(optimizer, plan, method="subgradient")
    cross_entropy(model(x), y).backward()
    optimizer.step()
    by_hand = torch.optim.SGD(twin.parameters(), lr=0.1)
    (cross_entropy(twin(x), y) + term.penalty()).backward()
    by_hand.step()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def trained(epochs: int, start: tuple[dict, dict, dict] | None = None):
    torch.manual_seed(0)
    model, plan = planned("ResNet, basic blocks", 0.02)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    handle = sh.attach(optimizer, plan)
    if start is not None:
        for thing, state in zip((model, optimizer, handle), start, strict=True):
            thing.load_state_dict(state)
    x, y = example(30), torch.arange(30) % 5
    for _ in range(epochs):
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
    return model, plan, (model, optimizer, handle)


def test_training_makes_zero_groups_that_compact_removes() -> None:
    model, plan, _ = trained(40)
    dead = {
        term.entry.name: int((~term.read().any(dim=1)).sum())
        for term in plan.terms()
        if term.group is not None
    }
    assert sum(dead.values()) > 10
    found = sh.compact(model.eval(), example(), batch_sizes=())
    for group in plan.coupled:
        for part in group.parts:
            before = model.get_parameter(part.entry.path).shape[0]
            after = found.model.get_parameter(part.entry.path).shape[0]
            assert after == max(1, before - dead[group.entry.name])


def test_a_resumed_training_is_bit_equal() -> None:
    straight, _, _ = trained(25)
    _, _, parts = trained(13)
    state = tuple(copy.deepcopy(part.state_dict()) for part in parts)
    resumed, _, _ = trained(12, state)  # type: ignore[arg-type]
    assert all(map(torch.equal, straight.parameters(), resumed.parameters()))


# Certificates


def smooth_network() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 3)
    ).double()
    x = torch.randn(60, 6, dtype=torch.float64)
    return model.eval(), x, torch.randint(0, 3, (60,))


def test_the_gap_is_that_of_the_groups() -> None:
    model, x, y = smooth_network()
    plan = sh.Plan(model, sh.GroupL1(0.02, coupled=True), example_inputs=x)
    found = sh.certify(model, plan, (x, y))
    cross_entropy(model(x), y).backward()
    for term in plan.terms():
        gradients = [p.grad for p in term.parameters]
        w, g = term.read().detach(), term.gathered(gradients)  # type: ignore[arg-type]
        kappa = 0.02 * term.entry.grouping.group_size**0.5
        norms = w.norm(dim=1, keepdim=True)
        expected = float((g + kappa * w / norms).norm(dim=1).max()) / kappa
        name = term.entry.name
        assert found.per_parameter[name].gap == pytest.approx(expected, rel=1e-9)
    assert found.penalty == pytest.approx(plan.value())
    assert found.penalised == plan.n_penalised


def test_a_polish_drives_the_gap_of_coupled_groups_down() -> None:
    model, x, y = smooth_network()
    plan = sh.Plan(model, sh.GroupL1(0.02, coupled=True), example_inputs=x)
    before = sh.certify(model, plan, (x, y))
    after = sh.polish(model, plan, (x, y), tol=1e-3)
    assert after.gap < 1e-3 < before.gap
    assert after.objective < before.objective
    groups = [term.read() for term in plan.terms() if term.group is not None]
    zero = sum(int((~g.any(dim=1)).sum()) for g in groups)
    assert 0 < zero == sum(int((g == 0).sum(dim=1).eq(g.shape[1]).sum()) for g in groups)


# Errors


def test_example_inputs_are_needed() -> None:
    with pytest.raises(PlanError, match=r"coupled groups need example inputs.*example_inputs=x"):
        sh.Plan(ARCHITECTURES["U-Net"](), sh.GroupL1(0.1, coupled=True))


def test_only_filters_are_coupled() -> None:
    with pytest.raises(PenaltyError, match="only filters can be coupled"):
        sh.GroupL1(0.1, by="input", coupled=True)


@pytest.mark.parametrize("other", [sh.L1(0.1), None])
def test_overlapping_groups_are_refused(other: sh.Penalty | None) -> None:
    rules = sh.Rules({"3.two.*": other, "*": sh.GroupL1(0.1, coupled=True)}, norms=True)
    with pytest.raises(PlanError, match=r"groups overlap: got '3\.two\.\d"):
        sh.Plan(ARCHITECTURES["ResNet, basic blocks"](), rules, example_inputs=example(1))


def test_inputs_that_do_not_fit() -> None:
    with pytest.raises(PlanError, match=r"cannot be followed.*got RuntimeError"):
        sh.Plan(
            ARCHITECTURES["U-Net"](), sh.GroupL1(0.1, coupled=True), example_inputs=torch.ones(2, 5)
        )


def test_without_coupling_nothing_changes() -> None:
    torch.manual_seed(0)
    model = ARCHITECTURES["plain CNN"]()
    plan = sh.Plan(model, sh.GroupL1(0.1))
    assert plan.coupled == ()
    assert [term.parameters for term in plan.terms()] == [(p,) for _, _, p in plan.blocks()]
    assert repr(sh.GroupL1(0.1)) == "GroupL1(strength=0.1, by='filter')"


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (torch.zeros(0, 3, 8, 8), "shape .0, 3, 8, 8."),
        (torch.zeros(1, 3, 8, 8, device="meta"), "without values"),
        (torch.full((1, 3, 8, 8), torch.nan), "NaN"),
        (torch.zeros(1, 3, 8, 8).to_sparse(), "sparse_coo"),
    ],
    ids=["empty", "meta", "NaN", "sparse"],
)
def test_example_inputs_that_show_nothing(inputs: Tensor, told: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    with pytest.raises(PlanError, match=told):
        sh.Plan(model, sh.GroupL1(0.1, coupled=True), example_inputs=inputs)
    with pytest.raises(CompactionError, match=told):
        sh.compact(model.eval(), inputs)


def test_parameters_of_one_group_with_steps_of_their_own() -> None:
    """One number only where all have the same; a layer with its own learning rate keeps it."""
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    plan = sh.Plan(net, {"0": sh.GroupL1(0.1, coupled=True)}, example_inputs=torch.ones(2, 3))
    (term,) = (term for term in plan.bound_terms() if term.group is not None)

    def reading(step: float | Tensor, reach: float, parameter: nn.Parameter) -> Reading:
        return Reading(lambda *_: Metric(step, reach), {"lr": 0.1}, {}, parameter)

    first, second = term.parameters
    same = stacked(term, [reading(0.1, 2.0, first), reading(0.1, 1.0, second)]).metric
    assert (same.step, same.reach) == (0.1, 1.0)
    own = stacked(term, [reading(0.1, 2.0, first), reading(0.2, 3.0, second)]).metric
    expected = [torch.full_like(p, step) for p, step in ((first, 0.1), (second, 0.2))]
    assert torch.equal(own.step, term.gathered(expected))
    assert own.reach == 2.0
    each = torch.arange(1.0, 1 + second.numel()).reshape(second.shape)
    mixed = stacked(term, [reading(0.1, 2.0, first), reading(each, 3.0, second)]).metric
    assert torch.equal(mixed.step, term.gathered([expected[0], each]))
