"""What an error tells to write works when it is written."""

import copy
import re
from typing import Any

import pytest
import torch
from torch import nn

import shrinkage as sh
from shrinkage.errors import PlanError, ShrinkageError, did_you_mean

X, Y = torch.randn(12, 4), torch.arange(12) % 3


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 3)
        self.norm = nn.LayerNorm(3)


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.bias = nn.Parameter(torch.ones(3))


def refusal(make: Any, kind: type[ShrinkageError] = PlanError) -> ShrinkageError:
    with pytest.raises(kind) as caught:
        make()
    return caught.value


@pytest.mark.parametrize(
    ("make", "rules", "name"),
    [
        (Tokens, sh.L1(1.0), "words.weight"),
        (lambda: nn.Sequential(nn.LayerNorm(3)), sh.L1(1.0), "0.weight"),
        (Scaled, sh.L1(1.0), "scale"),
        (lambda: nn.Linear(3, 2), {"*": None}, "weight"),
        (lambda: nn.Sequential(nn.Linear(3, 2)).requires_grad_(False), sh.L1(1.0), "0.weight"),
    ],
    ids=["an embedding", "norms", "unknown layers", "protected", "frozen"],
)
def test_a_plan_of_nothing_names_what_the_network_has(make: Any, rules: Any, name: str) -> None:
    model = make()
    told = refusal(lambda: sh.Plan(model, rules)).remedy
    if frozen := re.search(r"(model\.get_parameter\('[\w.]+'\)\.requires_grad_\(\))", told):
        eval(frozen[1], {"model": model})  # noqa: S307
    else:
        said = re.search(r"Name what is meant in a rule: (Rules\(.*\))\.", told)
        assert said, told
        rules = eval(said[1].replace(", …", ""), {"Rules": sh.Rules, "L1": sh.L1})  # noqa: S307
    assert name in {entry.name for entry in sh.Plan(model, rules).penalised}


@pytest.mark.parametrize("key", ["Linear", "nn.Linear", "linear", "torch.nn.Linear"])
def test_a_class_in_quotes_is_taken_out_of_them(key: str) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    told = refusal(lambda: sh.Plan(model, {key: sh.L1(1.0)})).remedy
    assert told.startswith("Write the class itself, without quotes: nn.Linear. ")
    sh.Plan(model, {nn.Linear: sh.L1(1.0)})


@pytest.mark.parametrize("wrapped", ["", "data parallel", "compiled", "a wrapped plan"])
@pytest.mark.parametrize("penalty", [sh.L1(0.1), sh.GroupL1(0.1, coupled=True)], ids=str)
def test_the_plan_of_another_network_is_made_again_as_told(wrapped: str, penalty: Any) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    model: Any = copy.deepcopy(net)
    planned: Any = nn.DataParallel(net) if wrapped == "a wrapped plan" else net
    if wrapped == "data parallel":
        model = nn.DataParallel(model)
    elif wrapped == "compiled":
        model = torch.compile(model, backend="eager")
    plan = sh.Plan(planned, sh.Rules({"0": penalty, "*": sh.L1(0.1)}), example_inputs=X)
    told = refusal(lambda: sh.certify(model, plan, (X, Y))).remedy
    said = re.search(r"Make the plan again: (Plan\(.*\))\.$", told)
    assert said, told
    again = eval(said[1], {"Plan": sh.Plan, "model": model, "plan": plan, "x": X})  # noqa: S307
    assert sh.certify(model, again, (X, Y)).objective == pytest.approx(
        sh.certify(net, plan, (X, Y)).objective
    )


def test_a_plan_whose_rules_do_not_fit_is_not_to_be_made_again() -> None:
    plan = sh.Plan(nn.Sequential(nn.Linear(4, 3)), {"0": sh.L1(0.1)})
    other = nn.Sequential(nn.ReLU(), nn.Linear(4, 3))
    assert "rules that name its own layers" in refusal(lambda: sh.measure(other, plan)).remedy
    whole = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3))
    plan = sh.Plan(whole, sh.L1(0.1))
    assert (
        "Pass the whole network, plan.model" in refusal(lambda: sh.measure(whole[1], plan)).remedy
    )
    handle = sh.attach(torch.optim.SGD(whole.parameters(), lr=0.1), plan)
    told = refusal(lambda: sh.measure(whole, handle)).remedy  # type: ignore[arg-type]
    assert told == "Pass the plan that it holds: handle.plan."


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("covn1", ["conv1", "conv2"], "conv1"),
        ("mpl", ["mlp", "cnn"], "mlp"),
        ("Age", ["age", "sex"], "age"),
        ("lenet5", ["linear", "lenet-5"], "lenet-5"),
        ("age", ["age", "ages"], ""),
        ("resnet", ["lenet-5", "linear"], ""),
        ("alexnet", ["lenet-5", "mlp"], ""),
        ("rnn", ["cnn", "mlp"], ""),
        ("transformer", ["lenet-300-100", "linear"], ""),
    ],
)
def test_only_what_is_alike_is_meant(name: str, known: list[str], meant: str) -> None:
    assert did_you_mean(name, known) == (f"Did you mean {meant!r}? " if meant else "")
