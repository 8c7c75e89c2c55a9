"""Every metric beside the move that PyTorch's own optimizer makes, to the last digits."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

import shrinkage as sh
from shrinkage.optim.metrics import METRICS, Metric, Reading, rate_of, was_skipped

G = torch.tensor([[0.3, -2.0], [1e-3, 5.0]], dtype=torch.float64)


def run(
    kind: type[optim.Optimizer], options: dict[str, Any], gradients: list[Tensor]
) -> tuple[Metric, Tensor]:
    """The metric after the last of these gradients, and how far that step moved the weights."""
    w = nn.Parameter(torch.tensor([[1.0, 2.0], [-3.0, 4.0]], dtype=torch.float64))
    optimizer = kind([w], **options)
    for gradient in gradients:
        before = w.detach().clone()
        w.grad = gradient.clone()
        optimizer.step()
    return METRICS[kind](optimizer.param_groups[0], optimizer.state[w], w), before - w.detach()


CONSTANT = [
    (optim.SGD, {"lr": 0.3}, 1),
    (optim.SGD, {"lr": 0.3, "momentum": 0.8}, 400),
    (optim.SGD, {"lr": 0.3, "momentum": 0.8, "dampening": 0.25}, 400),
    (optim.SGD, {"lr": 0.3, "momentum": 0.8, "nesterov": True}, 400),
    (optim.ASGD, {"lr": 0.3, "lambd": 0.0}, 3),
    (optim.Adam, {"lr": 0.3, "betas": (0.8, 0.95), "eps": 0.01}, 1),
    (optim.Adam, {"lr": 0.3, "betas": (0.8, 0.95), "eps": 0.01}, 7),
    (optim.Adam, {"lr": 0.3, "betas": (0.8, 0.95), "eps": 0.01, "amsgrad": True}, 7),
    (optim.AdamW, {"lr": 0.3, "weight_decay": 0.0}, 4),
    (optim.NAdam, {"lr": 0.3, "betas": (0.8, 0.95), "eps": 0.01, "momentum_decay": 0.1}, 1),
    (optim.NAdam, {"lr": 0.3, "betas": (0.8, 0.95), "eps": 0.01, "momentum_decay": 0.1}, 9),
    (optim.RAdam, {"lr": 0.3, "betas": (0.8, 0.95), "eps": 0.01}, 3),
    (optim.RAdam, {"lr": 0.3, "betas": (0.8, 0.95), "eps": 0.01}, 6),
    (optim.RAdam, {"lr": 0.3, "betas": (0.8, 0.95), "eps": 0.01}, 20),
    (optim.Adamax, {"lr": 0.3, "betas": (0.8, 0.95), "eps": 1e-12}, 5),
    (optim.RMSprop, {"lr": 0.3, "alpha": 0.9, "eps": 0.01}, 6),
    (optim.RMSprop, {"lr": 0.3, "alpha": 0.9, "eps": 0.01, "momentum": 0.5}, 400),
    (optim.RMSprop, {"lr": 0.3, "alpha": 0.9, "eps": 0.01, "centered": True}, 6),
    (optim.Adagrad, {"lr": 0.3, "lr_decay": 0.2, "eps": 0.01, "initial_accumulator_value": 1.0}, 5),
    (optim.Adadelta, {"lr": 0.3, "rho": 0.8, "eps": 0.01}, 1),
    (optim.Adadelta, {"lr": 0.3, "rho": 0.8, "eps": 0.01}, 6),
]


@pytest.mark.parametrize(("kind", "options", "steps"), CONSTANT)
def test_a_constant_gradient_moves_as_far_as_the_metric_says(
    kind: type[optim.Optimizer], options: dict[str, Any], steps: int
) -> None:
    found, moved = run(kind, options, [G] * steps)
    assert torch.allclose(found.step * G, moved, rtol=1e-7, atol=1e-13)  # ASGD keeps float32


def test_averaged_sgd_steps_ever_shorter() -> None:
    """With a decay of its own the move is step·(g + λ·w)."""
    found, moved = run(optim.ASGD, {"lr": 0.3, "lambd": 0.5, "alpha": 0.7}, [G] * 4)
    lr = 0.3 / (1 + 0.5 * 0.3 * 3) ** 0.7
    assert found.step == pytest.approx(lr)
    assert moved[1, 0].item() != pytest.approx(lr * G[1, 0].item())
    assert found.reach == float("inf")


def test_amsgrad_keeps_the_largest_second_moment() -> None:
    options = {"lr": 0.3, "betas": (0.8, 0.95), "eps": 0.01, "amsgrad": True}
    found, _ = run(optim.Adam, options, [10 * G] + [G] * 60)
    plain, _ = run(optim.Adam, {**options, "amsgrad": False}, [10 * G] + [G] * 60)
    assert (found.step < plain.step).all()


@pytest.mark.parametrize("shape", [(4, 5), (6,), (2, 3, 4)])
@pytest.mark.parametrize(
    ("growth", "floor"), [(1.0, None), (50.0, None), (1.0, 2.0)], ids=["free", "clipped", "floored"]
)
def test_adafactor_moves_as_far_as_the_metric_says(
    shape: tuple[int, ...], growth: float, floor: float | None
) -> None:
    draw = torch.Generator().manual_seed(0)
    w = nn.Parameter(torch.randn(shape, generator=draw, dtype=torch.float64) + 2)
    # of a small rate, because α is read after the step
    optimizer = optim.Adafactor([w], lr=1e-7, d=1.5, eps=(floor, 1e-3), weight_decay=0.0)
    for k in range(4):
        before = w.detach().clone()
        w.grad = growth**k * torch.randn(shape, generator=draw, dtype=torch.float64)
        optimizer.step()
    with torch.no_grad():
        found = METRICS[optim.Adafactor](optimizer.param_groups[0], optimizer.state[w], w)
    assert torch.allclose(found.step * w.grad, before - w.detach(), rtol=1e-5)
    norm = float((before - w.detach()).norm())
    if growth > 1:  # the update's root mean square is d
        assert norm == pytest.approx(found.reach, rel=1e-5)
    assert norm <= found.reach * (1 + 1e-5)
    alpha = 1e-7 * float(w.detach().norm()) / w.numel() ** 0.5
    assert found.reach == pytest.approx(alpha * w.numel() ** 0.5 * 1.5)


FURTHEST = [
    (optim.Adam, {"betas": (0.5, 0.99)}, 2000, 1.0),
    (optim.AdamW, {"betas": (0.5, 0.99), "weight_decay": 0.0}, 2000, 1.0),
    (optim.RAdam, {"betas": (0.5, 0.99)}, 4000, 1.0),
    (optim.RMSprop, {"alpha": 0.96}, 1000, 1.0),
    (optim.Adamax, {"betas": (0.5, 0.9)}, 1, 0.9),
]


@pytest.mark.parametrize(("kind", "options", "steps", "share"), FURTHEST)
def test_the_reach_is_as_far_as_a_first_gradient_moves(
    kind: type[optim.Optimizer], options: dict[str, Any], steps: int, share: float
) -> None:
    """After a long time without any: (1 − β₁)/√(1 − β₂), where that exceeds 1."""
    still = torch.zeros_like(G)
    options = {"lr": 0.2, "eps": 1e-30, **options}
    found, moved = run(kind, options, [still] * steps + [G])
    assert moved.abs().max() <= found.reach * (1 + 1e-9)
    if kind is not optim.Adamax:
        assert moved.abs().max().item() == pytest.approx(share * found.reach, rel=1e-3)


def test_reaches_by_hand() -> None:
    def reach(kind: type[optim.Optimizer], **options: Any) -> float:
        return run(kind, {"lr": 0.2, **options}, [G])[0].reach

    assert reach(optim.SGD) == float("inf")
    assert reach(optim.Adam, betas=(0.9, 0.91)) == pytest.approx(0.3)  # 0.1/0.3 is less than 1.5
    assert reach(optim.Adam, betas=(0.4, 0.91)) == pytest.approx(0.2 * 0.6 / 0.3)
    assert reach(optim.Adamax, betas=(0.9, 0.91)) == pytest.approx(0.2 * 0.1 / (1 - 0.9 / 0.91))
    assert reach(optim.Adamax, betas=(0.0, 0.99)) == pytest.approx(0.3)
    assert reach(optim.Adagrad) == pytest.approx(0.2)
    assert reach(optim.Adagrad, lr_decay=0.5) == pytest.approx(0.2)  # at the first step
    assert reach(optim.RMSprop, alpha=0.91) == pytest.approx(0.2 / 0.3)
    assert reach(optim.RMSprop, alpha=0.91, momentum=0.5) == pytest.approx(0.4 / 0.3)
    assert reach(optim.RMSprop, centered=True) == float("inf")
    assert run(optim.RAdam, {"lr": 0.2}, [G])[0].reach == float("inf")
    rectified = run(optim.RAdam, {"lr": 0.2, "betas": (0.9, 0.91)}, [G] * 400)[0]
    assert rectified.reach == pytest.approx(0.3)


@pytest.mark.parametrize(("betas", "room"), [((0.5, 0.99), 1.0), ((0.9, 0.5), 1.5)])
def test_nadams_reach_is_the_furthest_of_two_moves(betas: tuple[float, float], room: float) -> None:
    """With half as much room where the constant move is the further one."""
    options: dict[str, Any] = {"lr": 0.2, "eps": 1e-30, "momentum_decay": 0.0, "betas": betas}
    still = torch.zeros_like(G)
    first, moved = run(optim.NAdam, options, [still] * 1500 + [G])
    assert moved.abs().max() <= first.reach * (1 + 1e-9)
    constant, again = run(optim.NAdam, options, [G] * 1500)
    assert again.abs().max() <= constant.reach * (1 + 1e-9)
    largest = max(moved.abs().max().item(), again.abs().max().item())
    assert room * largest == pytest.approx(first.reach, rel=1e-3)


def test_centered_rmsprop_divides_by_the_spread() -> None:
    gradients = [G * (1 + 0.5 * (-1) ** k) for k in range(50)]
    options = {"lr": 0.3, "alpha": 0.9, "eps": 1e-3, "centered": True}
    found, moved = run(optim.RMSprop, options, gradients)
    assert torch.allclose(found.step * gradients[-1], moved, rtol=1e-9)


def test_a_momentum_of_one_is_refused() -> None:
    for momentum in (1.0, 1.5):
        with pytest.raises(sh.ShrinkageError, match="momentum leaves no step size"):
            run(optim.SGD, {"lr": 0.1, "momentum": momentum}, [G])


def test_a_reading_asks_once() -> None:
    asked = []

    def of(group: Any, state: Any, parameter: Tensor) -> Metric:
        asked.append((group, state, parameter))
        return Metric(2.0)

    group, state, w = {"lr": 0.25}, {"a": 1}, torch.ones(1)
    reading = Reading(of, group, state, w)
    assert (reading.rate, asked) == (0.25, [])
    assert reading.metric is reading.metric
    assert asked == [(group, state, w)]
    assert rate_of({}) == 1.0


def test_a_step_that_found_infinite_gradients_was_skipped() -> None:
    optimizer = optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    assert not was_skipped(optimizer)
    for found, skipped in ((torch.zeros(1), False), (torch.ones(1), True), (1.0, True)):
        optimizer.found_inf = found  # type: ignore[attr-defined]
        assert was_skipped(optimizer) is skipped


def test_momentum_lengthens_the_steps_of_a_centered_rmsprop() -> None:
    group = {"lr": 0.3, "momentum": 0.75, "centered": True, "eps": 0.5}
    state = {"square_avg": torch.tensor([5.0]), "grad_avg": torch.tensor([1.0])}
    found = METRICS[optim.RMSprop](group, state, torch.zeros(1))
    assert found.step.item() == pytest.approx(0.3 / 0.25 / 2.5)  # type: ignore[union-attr]


def test_adafactors_rate_falls_with_the_root_of_the_steps() -> None:
    w = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    optimizer = optim.Adafactor([w], lr=1e-7)
    for _ in range(4):
        w.grad = torch.ones(2, dtype=torch.float64)
        optimizer.step()
    with torch.no_grad():
        steps = [
            METRICS[optim.Adafactor](
                {**optimizer.param_groups[0], "lr": lr}, optimizer.state[w], w
            ).step
            for lr in (0.1, 10.0)
        ]
    assert torch.allclose(steps[1] / steps[0], torch.full((2,), 5.0).double())  # ½ and 0.1
