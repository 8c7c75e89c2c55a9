"""What every penalty must obey: each law a function that raises AssertionError.

``law(case, penalty, sample)``: the case knows the formula, the penalty is on trial (it may be a
saboteur that claims to be of this case), the sample holds the numbers. Errors are judged in units
of what rounding alone may do: so many ``eps`` of the largest quantity that enters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from shrinkage.penalties import Penalty
from shrinkage.penalties.steps import Steps

from .catalogue import Case, Reduction

Kind = Literal["one step", "a step per weight"]
KINDS: tuple[Kind, ...] = ("one step", "a step per weight")
DTYPES = (torch.float32, torch.float64)
SHAPES = ((2, 3), (3, 2), (1, 6), (2, 1, 3), (3, 4), (4,), (3, 1), (1,), (), (0,), (0, 3), (3, 0))


# ---- samples


@dataclass(frozen=True)
class Sample:
    """Weights, other weights, a gradient, a step and a source of more random numbers."""

    w: Tensor
    other: Tensor
    grad: Tensor
    step: float | Tensor
    seed: int

    @property
    def steps(self) -> Tensor:
        """One step per weight, in double precision."""
        return torch.as_tensor(self.step, dtype=self.w.dtype).double().expand(self.w.shape)

    @property
    def positive_step(self) -> float | Tensor:
        """The step, 1 where it is 0."""
        if isinstance(self.step, Tensor):
            return torch.where(self.step == 0, 1.0, self.step)
        return self.step or 1.0

    @property
    def eps(self) -> float:
        return torch.finfo(self.w.dtype).eps

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


@st.composite
def samples(draw: st.DrawFn, dtype: torch.dtype, kind: Kind) -> Sample:
    """Weights and steps of a size at which the catalogue's strengths kill some and spare some."""
    shape = draw(st.sampled_from(SHAPES))
    seed = draw(st.integers(0, 2**20))
    generator = torch.Generator().manual_seed(seed)

    def normal() -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype)

    def chosen(share: float) -> Tensor:
        return torch.rand(shape, generator=generator) < share

    scale = draw(st.sampled_from([1.0, 1e-3, 1e3]))
    w = normal() * scale
    w[chosen(draw(st.sampled_from([0.0, 0.3])))] = 0.0
    if w.ndim > 1 and draw(st.booleans()):
        w[:1] = 0.0  # a group that is gone
    step: float | Tensor
    if kind == "one step":
        step = draw(st.sampled_from([0.0, 1e5, 3.0, 0.3, 0.03]) | st.floats(0.1, 1.0)) * scale
    else:
        step = normal().exp() * draw(st.sampled_from([1.0, 0.3, 0.03])) * scale
        if draw(st.booleans()):
            step[chosen(0.2)] = 0.0
            step[chosen(0.1)] = 1e5 * scale
    other = w + w.abs() * normal()
    grad = normal() * draw(st.sampled_from([1.0, 0.1, 10.0]))
    return Sample(w, other, grad, step, seed)


Law = Callable[[Case, Penalty, Sample], None]


def uphold(
    law: Law,
    case: Case,
    dtype: torch.dtype,
    kind: Kind,
    *,
    penalties: SearchStrategy[Penalty] | None = None,
    shrink: bool = True,
    examples: int = 25,
) -> None:
    """Try the law on drawn penalties and samples; AssertionError where it is broken."""

    @settings(
        max_examples=examples,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )
    @given(
        penalty=case.penalties if penalties is None else penalties,
        sample=samples(dtype, kind),
    )
    def trial(penalty: Penalty, sample: Sample) -> None:
        law(case, penalty, sample)

    trial()


# ---- small tools


def size_of(blocks: Tensor) -> Tensor:
    """The largest magnitude of each block, in double precision."""
    if blocks.shape[-1] == 0:
        return blocks.new_zeros(len(blocks), dtype=torch.float64)
    return blocks.double().abs().amax(dim=-1)


def close(case: Case, got: Tensor, want: Tensor, allowed: Tensor, what: str) -> None:
    """Every block of ``got`` is within ``allowed`` (one figure per block) of ``want``."""
    error = size_of(case.blocks(got).double() - case.blocks(want).double())
    assert bool((error <= allowed).all()), f"{what}: {got} instead of {want}"


def value_gradient(penalty: Penalty, w: Tensor) -> Tensor:
    leaf = w.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(penalty.value(leaf), leaf)
    return gradient


# ---- the formula


def value_agrees_with_the_twin(case: Case, penalty: Penalty, s: Sample) -> None:
    got, want = penalty.value(s.w), case.value(penalty, s.w)
    assert got.shape == ()
    assert got.dtype == s.w.dtype
    assert abs(float(got) - want) <= 16 * s.eps * want


def prox_agrees_with_the_twin(case: Case, penalty: Penalty, s: Sample) -> None:
    """Within rounding of w, which the prox of a penalty that is not convex may magnify."""
    got = penalty.prox(s.w, s.step)
    want = case.prox(penalty, s.w, s.steps).reshape(got.shape)
    allowed = 32 * s.eps * size_of(case.blocks(s.w))
    if not case.convex:
        hair = 16 * s.eps
        low, high = (case.prox(penalty, s.w.double() * c, s.steps) for c in (1 - hair, 1 + hair))
        allowed = allowed + size_of(high - low)
    close(case, got, want, allowed, "prox")


def zeros_agree_with_the_twin(case: Case, penalty: Penalty, s: Sample) -> None:
    """Exactly zero where the formula is and nowhere else, but for ties within rounding."""
    zero = case.blocks(penalty.prox(s.w, s.step)) == 0
    hair = 64 * s.eps
    less, more = (case.prox(penalty, s.w.double() * c, s.steps) == 0 for c in (1 - hair, 1 + hair))
    less, more = less.reshape(zero.shape), more.reshape(zero.shape)
    told = less == more
    assert torch.equal(zero[told], less[told]), f"zeros {zero} instead of {less}"


def distance_agrees_with_the_twin(case: Case, penalty: Penalty, s: Sample) -> None:
    """At the weights, and with half of them zero, so that living groups have zeros in them."""
    some = torch.rand(s.w.shape, generator=s.generator()) < 0.5
    for w in (s.w, torch.where(some, 0.0, s.w)):
        got = penalty.distance(w, s.grad)
        assert got.dtype == w.dtype
        if case.separable:
            assert got.shape == w.shape
        elif w.ndim:
            assert got.shape == (*w.shape[:-1], 1)
        want = case.distance(penalty, w, s.grad)
        scale = case.distance(penalty, w, 0 * s.grad) + size_of(case.blocks(s.grad))
        assert bool(((got.reshape(-1).double() - want).abs() <= 16 * s.eps * scale).all()), (
            f"distance: {got} instead of {want}"
        )


# ---- the prox is the minimiser


def prox_beats_every_competitor(case: Case, penalty: Penalty, s: Sample) -> None:
    """Σ(z−w)²/(2·step) + P(z) is nowhere lower than at the prox; where step = 0, z is w."""
    z, w, steps = penalty.prox(s.w, s.step).double(), s.w.double(), s.steps
    free = steps > 0
    assert torch.equal(z[~free], w[~free])

    def objective(v: Tensor) -> float:
        v = torch.where(free, v, w)
        return float(((v - w)[free] ** 2 / (2 * steps[free])).sum() + penalty.value(v))

    generator = s.generator()
    noise = [torch.randn(z.shape, generator=generator, dtype=z.dtype) for _ in range(3)]
    competitors = [torch.zeros_like(w), w, -z, z.mean() + 0 * z if z.numel() else z]
    for size in (1.0, 1e-2, 1e-4, 1e-6):
        competitors += [z * (1 - size), z * (1 + size), z + size, z - size]
        competitors += [z + size * n for n in noise]
        competitors += [z + size * w.abs() * n for n in noise]
    for block in range(len(case.blocks(z))):
        without, untouched = case.blocks(z).clone(), case.blocks(z).clone()
        without[block], untouched[block] = 0.0, case.blocks(w)[block]
        competitors += [without.reshape(z.shape), untouched.reshape(z.shape)]
    rounding = 16 * s.eps * (objective(torch.zeros_like(w)) + objective(w))
    best = min(objective(v) for v in competitors)
    assert objective(z) <= best + rounding, f"{z} costs {objective(z)}, there is {best}"


def prox_is_lowest_on_the_way_to_zero(case: Case, penalty: Penalty, s: Sample) -> None:
    """No block of the prox's objective is lower anywhere between w and 0, however many minima."""
    blocks = [case.blocks(x.double()) for x in (penalty.prox(s.w, s.step), s.w, s.steps)]
    for z, w, step in zip(*blocks, strict=True):
        free = step > 0

        def objective(v: Tensor, w: Tensor = w, step: Tensor = step, free: Tensor = free) -> float:
            v = torch.where(free, v, w)
            return float(((v - w)[free] ** 2 / (2 * step[free])).sum() + penalty.value(v))

        rounding = 16 * s.eps * (objective(0 * w) + objective(w))
        best = min(objective(w * share) for share in torch.linspace(0, 1, 41).tolist())
        assert objective(z) <= best + rounding, f"{z} costs {objective(z)}, there is {best}"


def prox_is_monotone(case: Case, penalty: Penalty, s: Sample) -> None:
    """From 0 to 2·w the prox only rises, convex or not."""
    if not case.separable:
        return  # of groups, firm nonexpansiveness says it
    shares = torch.linspace(0, 2, 81, dtype=s.w.dtype).reshape(-1, *[1] * s.w.ndim)
    line = shares * s.w
    step = s.step.expand(line.shape) if isinstance(s.step, Tensor) else s.step
    rise = penalty.prox(line, step).abs().double().diff(dim=0)
    assert bool((rise >= -32 * s.eps * s.w.abs().double()).all())


def prox_is_stationary(case: Case, penalty: Penalty, s: Sample) -> None:
    """The distance of (w − z)/step to ∂P(z) is 0."""
    z, w, steps = penalty.prox(s.w, s.step).double(), s.w.double(), s.steps
    distance = penalty.distance(z, (z - w) / steps.clamp(min=1e-300)).reshape(-1)
    moved = (case.blocks(steps) > 0).all(dim=-1)
    pull = size_of(case.blocks(w / steps.clamp(min=1e-300)))
    assert bool((distance <= 64 * s.eps * pull)[moved].all()), f"distance {distance} at {z}"


def prox_is_firmly_nonexpansive(case: Case, penalty: Penalty, s: Sample) -> None:
    """⟨p − q, D(x − y)⟩ ≥ ‖p − q‖²_D with D = 1/step, which every convex penalty owes."""
    if not case.convex:
        return
    step = s.positive_step
    metric = 1 / torch.as_tensor(step, dtype=s.w.dtype).double()
    moved = (penalty.prox(s.w, step) - penalty.prox(s.other, step)).double()
    apart = s.w.double() - s.other.double()
    slack = (metric * moved * (apart - moved)).sum()
    scale = (metric * (s.w.double() ** 2 + s.other.double() ** 2)).sum()
    assert float(slack) >= -32 * s.eps * float(scale)


def prox_is_odd_and_never_turns_a_sign(case: Case, penalty: Penalty, s: Sample) -> None:
    z = penalty.prox(s.w, s.step)
    assert torch.equal(penalty.prox(-s.w, s.step), -z)
    assert bool((z * s.w >= 0).all())


# ---- value


def value_is_nonnegative_even_and_zero_at_zero(case: Case, penalty: Penalty, s: Sample) -> None:
    value = penalty.value(s.w)
    assert float(value) >= 0
    assert float(penalty.value(-s.w)) == float(value)
    assert float(penalty.value(torch.zeros_like(s.w))) == 0


def value_gradient_is_a_subgradient(case: Case, penalty: Penalty, s: Sample) -> None:
    """Autograd on value and distance tell one story: −(−∇P(w)) lies in ∂P(w)."""
    gradient = value_gradient(penalty, s.w)
    assert bool(gradient.isfinite().all())
    distance = penalty.distance(s.w, -gradient).reshape(-1).double()
    # The gradient of a concave penalty is the difference of what is as large as the slope.
    allowed = 16 * s.eps * size_of(case.blocks(gradient)).clamp(min=penalty.slope)
    assert bool((distance.abs() <= allowed).all()), f"distance {distance} at {s.w}"


# ---- strength


def scaled_multiplies(case: Case, penalty: Penalty, s: Sample) -> None:
    """(c·P)(w) = c·P(w), and a prox of c·P is a prox of P with c times the step."""
    for c in (0.0, 0.5, 3.0):
        scaled = penalty.scaled(c)
        assert type(scaled) is type(penalty)
        assert scaled.by == penalty.by
        assert abs(scaled.slope - c * penalty.slope) <= 1e-15 * c * penalty.slope
        value = float(penalty.value(s.w))
        assert abs(float(scaled.value(s.w)) - c * value) <= 16 * s.eps * c * value
        allowed = 32 * s.eps * size_of(case.blocks(s.w))
        close(case, scaled.prox(s.w, s.step), penalty.prox(s.w, c * s.step), allowed, "scaled")


def more_strength_shrinks_more(case: Case, penalty: Penalty, s: Sample) -> None:
    allowed = 1 + 16 * s.eps
    last = size_of(case.blocks(s.w))
    for c in (0.3, 1.0, 4.0, 100.0):
        norms = size_of(case.blocks(penalty.scaled(c).prox(s.w, s.step)))
        assert bool((norms <= last * allowed).all()), f"{norms} after {last} at {c} times"
        last = norms


def parts_add_up(case: Case, penalty: Penalty, s: Sample) -> None:
    """Values and gradients of the parts sum to the penalty's; none has more than its kink."""
    parts = penalty.parts
    value = float(penalty.value(s.w))
    total = sum(float(part.value(s.w)) for part in parts)
    assert abs(total - value) <= 16 * s.eps * value
    gradient = sum(value_gradient(part, s.w) for part in parts)
    close(
        case,
        gradient,
        value_gradient(penalty, s.w),
        16 * s.eps * size_of(case.blocks(gradient)).clamp(min=penalty.slope),
        "gradient",
    )
    assert abs(sum(part.slope for part in parts) - penalty.slope) <= 1e-15 * penalty.slope
    kinked = [part for part in parts if part.slope > 0]
    assert len(kinked) == (penalty.slope > 0), "two kinks would share one residual"


def _short(step: float | Tensor) -> float | Tensor:
    """At most 1e-4, at which the objective of every prox that is drawn is convex."""
    if isinstance(step, Tensor):
        return 1e-4 * step / step.max() if step.numel() else step
    return min(step, 1e-4)


def strength_max_empties_and_hardly_less_does_not(case: Case, penalty: Penalty, s: Sample) -> None:
    """At strength_max / slope times P, w = 0 is stationary and the prox of a step is 0.

    Where P is not convex a long step may reach a lower minimum elsewhere: there, of a short step.
    """
    largest = penalty.strength_max(s.grad)
    if not s.grad.count_nonzero():
        assert largest == 0
        return
    if penalty.slope == 0:
        assert largest == float("inf")
        return
    step, zero = s.positive_step, torch.zeros_like(s.w)
    if not case.convex:
        step = _short(step)
    hair = 1e-6 if s.w.dtype == torch.float64 else 1e-5
    heavy = penalty.scaled(largest / penalty.slope * (1 + hair))
    light = penalty.scaled(largest / penalty.slope * 0.999)
    assert not heavy.distance(zero, s.grad).count_nonzero()
    assert not heavy.prox(-step * s.grad, step).count_nonzero()
    assert float(light.distance(zero, s.grad).max()) > 0
    assert light.prox(-step * s.grad, step).count_nonzero()


# ---- steps and blocks


def step_zero_returns_the_weights(case: Case, penalty: Penalty, s: Sample) -> None:
    assert torch.equal(penalty.prox(s.w, 0.0), s.w)
    assert torch.equal(penalty.prox(s.w, torch.zeros_like(s.w)), s.w)


def equal_steps_are_one_step(case: Case, penalty: Penalty, s: Sample) -> None:
    allowed = 32 * s.eps * size_of(case.blocks(s.w))
    for step in (0.0, 0.3, 1e5):
        one = penalty.prox(s.w, step)
        close(case, penalty.prox(s.w, torch.full_like(s.w, step)), one, allowed, "a step each")
        close(
            case,
            penalty.prox(s.w, torch.tensor(step, dtype=s.w.dtype)),
            one,
            allowed,
            "a step in a tensor",
        )


def blocks_do_not_meet(case: Case, penalty: Penalty, s: Sample) -> None:
    """Each block by itself gives what all of them together give."""
    if s.w.numel() == 0:
        return
    w, grad, steps = (case.blocks(x) for x in (s.w, s.grad, s.steps.to(s.w.dtype)))
    step = steps if isinstance(s.step, Tensor) else [s.step] * len(w)
    alone = torch.stack([penalty.prox(b, t) for b, t in zip(w, step, strict=True)])
    close(case, penalty.prox(s.w, s.step), alone, 32 * s.eps * size_of(w), "prox")
    alone = torch.stack([penalty.distance(b, g) for b, g in zip(w, grad, strict=True)]).reshape(-1)
    together = penalty.distance(s.w, s.grad).reshape(-1)
    assert torch.allclose(together, alone, rtol=16 * s.eps, atol=16 * s.eps * float(alone.max()))
    total = float(sum(penalty.value(b).double() for b in w))
    assert abs(float(penalty.value(s.w)) - total) <= 16 * s.eps * total


# ---- tensors


def nothing_else_changes(case: Case, penalty: Penalty, s: Sample) -> None:
    """A pure function: new memory, same shape and dtype, inputs left alone, same answer twice."""
    w, grad = s.w.clone(), s.grad.clone()
    for step in (s.step, s.steps.clone(), 0.0):
        before = step.clone() if isinstance(step, Tensor) else step
        z = penalty.prox(w, step)
        assert (z.shape, z.dtype) == (w.shape, w.dtype)
        assert w.numel() == 0 or z.data_ptr() != w.data_ptr()
        assert torch.equal(w, s.w)
        assert torch.equal(torch.as_tensor(step), torch.as_tensor(before))
        assert torch.equal(penalty.prox(w, step), z)
    penalty.distance(w, grad)
    penalty.value(w)
    penalty.strength_max(grad)
    assert torch.equal(w, s.w)
    assert torch.equal(grad, s.grad)


def layout_does_not_matter(case: Case, penalty: Penalty, s: Sample) -> None:
    """Strided and transposed weights give what contiguous ones give."""

    def every_other(x: Tensor) -> Tensor:
        return torch.stack([x, x + 7], dim=-1)[..., 0]

    def turned(x: Tensor) -> Tensor:
        return x.mT.contiguous().mT if x.ndim > 1 else x

    allowed = 32 * s.eps * size_of(case.blocks(s.w))
    far = case.distance(penalty, s.w, 0 * s.grad) + size_of(case.blocks(s.grad))
    for laid in (every_other, turned):
        step = laid(s.step) if isinstance(s.step, Tensor) else s.step
        z = penalty.prox(laid(s.w), step)
        close(case, z, penalty.prox(s.w, s.step), allowed, laid.__name__)
        distance = penalty.distance(laid(s.w), laid(s.grad)) - penalty.distance(s.w, s.grad)
        assert bool((distance.reshape(-1).abs() <= 16 * s.eps * far).all())
        value = float(penalty.value(s.w))
        assert abs(float(penalty.value(laid(s.w))) - value) <= 16 * s.eps * value


def accumulated_steps_add_up(case: Case, penalty: Penalty, s: Sample) -> None:
    """From rest it is the prox; with nothing moved in between, twice a step is a step of twice.

    Steps per weight turn a group that shrinks, and what is averaged in part is no prox of the sum:
    there only a second look at zeros is exact. What is not convex has its kink averaged, so that
    no weight stays at zero that a long step might still take far away: there, a short step.
    """
    step = s.positive_step if case.convex else _short(s.positive_step)
    w, residual, twice = s.w.clone(), torch.zeros_like(s.w), 2 * step
    penalty.accumulate(w, residual, Steps(step, step))
    first = penalty.prox(s.w, step)
    close(case, w, first, 16 * s.eps * size_of(case.blocks(s.w)), "the first step")
    penalty.accumulate(w, residual, Steps(twice, step))
    if isinstance(s.step, Tensor) or not case.averages_all:
        assert not bool(w[first == 0].any()), "a zero woke up by itself"
        return
    # Near a tie rounding decides who is zero: compare the weights, not the zeros.
    allowed = 64 * s.eps * size_of(case.blocks(s.w))
    close(case, w, penalty.prox(s.w, twice), allowed, "the second step")


def held_steps_repeat_the_prox(case: Case, penalty: Penalty, s: Sample) -> None:
    """From the same weights a held step is the exact one; a zero's move goes to its residual."""
    w, residual = s.w.clone(), torch.zeros_like(s.w)
    steps = Steps(s.positive_step, s.positive_step)
    held = penalty.accumulate(w, residual, steps)
    if held is None:
        return
    again, kept = s.w.clone(), torch.zeros_like(s.w)
    penalty.hold(again, kept, held, steps)
    close(case, again, w, 32 * s.eps * size_of(case.blocks(s.w)), "a held step")
    gone = (held == 0).reshape(*s.w.shape[:-1], 1) if s.w.ndim else held.reshape(()) == 0
    assert torch.equal(kept, torch.where(gone, s.w, 0.0)), "the residual of a held step"


def nothing_is_nan(case: Case, penalty: Penalty, s: Sample) -> None:
    """Zeros, 1e-30 and 1e30 side by side, with no strength, some strength and any step."""
    generator = s.generator()

    def extreme(x: Tensor) -> Tensor:
        powers = torch.randint(-1, 2, x.shape, generator=generator)
        return x * torch.tensor(10.0, dtype=x.dtype) ** (30 * powers)

    zero = torch.zeros_like(s.w)
    for w in (extreme(s.w), zero):
        for p in (penalty, penalty.scaled(0.0)):
            for step in (s.step, s.steps.to(w.dtype) * 1e-6, 0.0, 1e-30, 1e5):
                assert bool(p.prox(w, step).isfinite().all()), f"prox of {w}, step {step}"
            for grad in (extreme(s.grad), s.grad, zero):
                assert bool(p.distance(w, grad).isfinite().all()), f"distance at {w}, {grad}"
                assert p.strength_max(grad) >= 0
            assert not bool(p.value(w).isnan()), f"value of {w}"
            assert not bool(value_gradient(p, w).isnan().any()), f"gradient of value at {w}"


def nan_is_not_hidden(case: Case, penalty: Penalty, s: Sample) -> None:
    """A network that diverged must not look sparse or stationary: NaN in, NaN out."""
    if s.w.numel() == 0:
        return
    w, grad = s.w.clone(), s.grad.clone()
    w.view(-1)[0] = grad.view(-1)[0] = torch.nan
    assert bool(penalty.prox(w, s.step).view(-1)[0].isnan())
    assert bool(penalty.distance(s.w, grad).view(-1)[0].isnan())
    assert bool(penalty.distance(w, torch.zeros_like(w)).view(-1)[0].isnan())
    assert bool(penalty.value(w).isnan())


LAWS: tuple[Law, ...] = (
    value_agrees_with_the_twin,
    prox_agrees_with_the_twin,
    zeros_agree_with_the_twin,
    distance_agrees_with_the_twin,
    prox_beats_every_competitor,
    prox_is_lowest_on_the_way_to_zero,
    prox_is_stationary,
    prox_is_monotone,
    prox_is_firmly_nonexpansive,
    prox_is_odd_and_never_turns_a_sign,
    value_is_nonnegative_even_and_zero_at_zero,
    value_gradient_is_a_subgradient,
    scaled_multiplies,
    more_strength_shrinks_more,
    parts_add_up,
    strength_max_empties_and_hardly_less_does_not,
    step_zero_returns_the_weights,
    equal_steps_are_one_step,
    blocks_do_not_meet,
    nothing_else_changes,
    layout_does_not_matter,
    accumulated_steps_add_up,
    held_steps_repeat_the_prox,
    nothing_is_nan,
    nan_is_not_hidden,
)


def same_penalty(reduction: Reduction, a: Penalty, b: Penalty, s: Sample) -> None:
    """Two penalties that are one: the first sees the reduction's view of the weights."""
    w, grad = reduction.view(s.w), reduction.view(s.grad)
    step = reduction.view(s.step) if isinstance(s.step, Tensor) else s.step
    value = float(b.value(s.w))
    assert abs(float(a.value(w)) - value) <= 16 * s.eps * value
    z = b.prox(s.w, s.step)
    error = (a.prox(w, step).reshape(z.shape) - z).abs()
    assert bool((error <= 16 * s.eps * s.w.abs()).all())
    distance = b.distance(s.w, s.grad)
    scale = b.distance(s.w, 0 * s.grad) + s.grad.abs()
    error = (a.distance(w, grad).reshape(distance.shape) - distance).abs()
    assert bool((error <= 16 * s.eps * scale).all())
    assert a.slope == b.slope
    assert abs(a.strength_max(grad) - b.strength_max(s.grad)) <= 16 * s.eps * float(
        s.grad.abs().sum()
    ) or a.strength_max(grad) == b.strength_max(s.grad)
