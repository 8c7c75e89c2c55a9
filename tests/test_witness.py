"""Who has written the weights: when it is looked for, and when it is told."""

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from shrinkage.optim.witness import ForeignWrites, Watch, Witness


def writes(method: str = "averaged") -> ForeignWrites:
    wrappers: Any = SimpleNamespace(named="", seek=lambda: None, unfollowed=False)
    return ForeignWrites(wrappers, method)


def test_costly_comparisons_come_at_first_and_then_now_and_then() -> None:
    found = writes()
    turns, ahead = [], []
    for found.step in range(1, 60):
        if found.is_turn():
            turns.append(found.step)
        if found.is_turn(ahead=1):
            ahead.append(found.step + 1)
    assert turns == [*range(1, 21), 22, 33, 44, 55]
    assert ahead == [*range(2, 21), 22, 33, 44, 55]


def told(steps: list[int], found: ForeignWrites) -> list[str]:
    """What is said, and in which step, where somebody writes in these."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for found.step in range(1, max(steps) + 1):
            if found.step in steps:
                found.note()
                found.note()  # another parameter in the same step
            found.look_around(lambda: None)
            said += [f"{found.step}: {warning.message}" for warning in caught]
            caught.clear()
    return said


@pytest.mark.parametrize(
    ("steps", "step", "within"),
    [([2, 3, 4, 9], 4, 3), ([5, 900, 1004], 1004, 1000), ([1, 2, 1500, 1501, 1502], 1502, 3)],
)
def test_it_is_told_once_where_it_happened_three_times(
    steps: list[int], step: int, within: int
) -> None:
    (said,) = told(steps, writes())
    assert said.startswith(f"{step}: ")
    assert f"three of {within} steps" in said
    assert "averaging starts anew" in said


def test_what_happens_rarely_is_not_told() -> None:
    assert told([5, 900, 1005], writes()) == []
    assert told([7, 8], writes()) == []


def test_suspicions_are_asked_about_once_a_step() -> None:
    found = writes("prox")
    for found.step, doubts in enumerate(([False, True], [False, False], [True]), start=2):
        for doubt in doubts:
            found.suspect(torch.tensor(doubt))
        found.look_around(lambda: None)
        assert found.happened == any(doubts)


def gradients(parameter: nn.Parameter, elsewhere: list[bool]) -> None:
    """Backward passes where the parameter was left, or somewhere else."""
    for is_elsewhere in elsewhere:
        left = parameter.detach().clone()
        if is_elsewhere:
            parameter.data.add_(1)
        parameter.sum().backward()
        parameter.data.copy_(left)


def test_gradients_taken_elsewhere_are_counted_to_three() -> None:
    parameter, calls = nn.Parameter(torch.ones(3)), []
    watch = Watch(parameter, lambda: calls.append(1))
    gradients(parameter, [True, False, True])
    assert calls == []
    assert watch.note()
    gradients(parameter, [True])
    assert calls == [1]
    assert not watch.note()
    gradients(parameter, [True, True])  # looked at no longer
    assert calls == [1]


def test_it_looks_ten_times() -> None:
    parameter, calls = nn.Parameter(torch.ones(3)), []
    watch = Watch(parameter, lambda: calls.append(1))
    gradients(parameter, [False] * 7)
    gradients(parameter, [True, True])
    assert watch.note()  # nine times
    gradients(parameter, [False])
    assert not watch.note()
    gradients(parameter, [True])
    assert calls == []


def test_of_many_weights_some_are_seen_from_end_to_end() -> None:
    parameter = nn.Parameter(torch.zeros(5000))
    witness = Witness.of(parameter)
    assert 1000 <= witness.weights.numel() <= 1024
    assert witness.agrees(parameter)
    step = -(-5000 // 1024)
    for place in (0, step, (witness.weights.numel() - 1) * step):
        with torch.no_grad():
            parameter[place] = 1.0
        assert not witness.agrees(parameter)
        assert bool(witness.lost_zeros(parameter))
        witness.note(parameter)
        assert witness.agrees(parameter)
        assert not bool(witness.lost_zeros(parameter))
