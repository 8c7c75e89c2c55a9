"""How far a network is from a stationary point of the cost that was written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, isnan
from types import MappingProxyType

from rich.console import Console
from rich.table import Table
from torch import nn

from shrinkage.analysis.blocks import Vector
from shrinkage.analysis.gaps import most, nearest, radius, residuals
from shrinkage.analysis.measures import Loss
from shrinkage.analysis.measures.constant import best_constant
from shrinkage.analysis.objectives import Objective
from shrinkage.arguments import as_int
from shrinkage.errors import FitError
from shrinkage.plans import Plan

MOST_SAMPLES = 50


@dataclass(frozen=True)
class ParameterGap:
    """One parameter's share: its largest relative and absolute residual, and its nonzeros."""

    gap: float
    residual: float
    nonzeros: int
    size: int


@dataclass(frozen=True)
class Certificate:
    """How far θ is from stationary for cost = loss + penalty, on the data it was given.

    - ``objective`` = ``loss`` + ``penalty``; ``null_objective``: the cost of the best constant
      prediction, under no weights. A network above it has learnt nothing, however small its gap.
      NaN, with a note, where it is not known: a loss without one, or of outputs that are not free.
    - Weights that a normalisation layer follows are judged at the norms they have: ∂P is taken
      with all multiples of each row w_f, because what would change a norm changes no function.
      Without that no point is stationary; a note names these parameters.
    - ``residual``: the largest distance of −∇loss to ∂P over all weights and groups.
    - ``gap``: the largest of these distances divided by the block's slope at zero (s, or s·√m for
      a group of m); unpenalised and smooth blocks divide |∇cost| by the smallest slope of the
      plan or, where it has none, by max|∇loss|. 0 is stationary; for a convex problem that is
      the minimiser, for a network it need not be.
    - ``kink_gap``: the same with −∇loss replaced by the nearest point of the hull of ``samples``
      gradients taken within ``radius`` (Goldstein's ε-subdifferential); None where not asked for.
      ReLU and max-pooling put minimisers on kinks, where only this one vanishes.
    - ``nonzeros``: penalised weights that are not exactly 0, of ``penalised``.
    - ``per_parameter``: by name, from the plain gradient, unpenalised ones included.
    - ``notes``: what the figures do not say by themselves.
    """

    objective: float
    null_objective: float
    loss: float
    penalty: float
    gap: float
    residual: float
    kink_gap: float | None
    samples: int
    radius: float
    nonzeros: int
    penalised: int
    per_parameter: Mapping[str, ParameterGap]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        console = Console(width=110, force_terminal=False, force_jupyter=False, color_system=None)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for k, name in enumerate(("parameter", "gap", "residual", "nonzeros")):
            table.add_column(name, justify="right" if k else "left", overflow="fold")
        for name, part in self.per_parameter.items():
            counts = f"{part.nonzeros:,} of {part.size:,}"
            table.add_row(name, f"{part.gap:.3g}", f"{part.residual:.3g}", counts)
        with console.capture() as capture:
            console.print(table)
        kinks = (
            ""
            if self.kink_gap is None
            else f"\nkink-aware gap {self.kink_gap:.3g} ({self.samples} gradients within "
            f"{self.radius:.3g})"
        )
        return (
            f"objective {self.objective:.6g} = loss {self.loss:.6g} + penalty {self.penalty:.6g}"
            f"   (best constant {self.null_objective:.6g})\n"
            f"{COLLAPSED if no_better(self.objective, self.null_objective) else ''}"
            f"gap {self.gap:.3g} (in strengths; 0 is stationary), residual {self.residual:.3g}"
            f"{kinks}\n"
            f"{self.nonzeros:,} of {self.penalised:,} penalised weights nonzero\n\n"
            + capture.get()
            + "\n".join(self.notes)
        ).rstrip()


COLLAPSED = (
    "A network without weights would cost no more. A smaller strength keeps weights; where several "
    "layers are trained, one that rises often does: attach(..., warmup=...) on new weights.\n"
)


def no_better(objective: float, null_objective: float) -> bool:
    """Whether the cost is not below that of the best constant prediction; no where it is NaN."""
    return objective >= null_objective - 1e-6 * abs(null_objective)


def certify(
    model: nn.Module,
    plan: Plan,
    data: object = None,
    loss: Loss | None = None,
    *,
    samples: int = 0,
    seed: int = 0,
) -> Certificate:
    """Measure how far ``model`` is from a stationary point of loss + penalty on ``data``.

    ``data``: Examples, (X, y), a Dataset or a DataLoader (read in order, batch by batch); inputs
    are taken as they are. ``loss(prediction, y)`` is a mean over examples (with class weights or
    ``ignore_index`` a weighted one), by default cross-entropy for labels and the mean squared
    error for float targets. A loss that is no mean over examples, such as the Cox partial
    likelihood, is taken of all of them in one batch. The plan counts as written: for
    ``handle.scale = c`` pass ``plan.scaled(c)``. The network is read in eval mode and stays as it
    is. ``samples`` (at most 50) gradients around the point make the kink-aware gap, ``seed`` draws
    their places: every weight moves by at most 1e-3 of the root mean square of the nonzero
    weights, but for the zeros that a kink of the penalty holds.

    Raises :class:`PlanError` for a plan of another network, :class:`DataError` for data that
    cannot be read twice alike, :class:`FitError` for a loss that is not a mean, a cost that is
    not finite, and samples out of range. Source of the kink-aware gap: Goldstein, Optimization
    of Lipschitz Continuous Functions (1977); Burke, Lewis & Overton, A Robust Gradient Sampling
    Algorithm (2005).
    """
    samples = checked_samples(samples)
    seed = as_int("seed", seed, most=2**63 - 1)
    objective = Objective(model, plan, data, loss)
    with objective.evaluating():
        return certificate(objective, samples=samples, seed=seed)


def checked_samples(samples: object) -> int:
    """How many gradients to take around a point; :class:`FitError` for too many."""
    remedy = "0 gives the plain certificate, 20 are usually enough."
    return as_int("samples", samples, most=MOST_SAMPLES, remedy=remedy)


def certificate(
    objective: Objective, *, samples: int = 0, seed: int = 0, notes: tuple[str, ...] = ()
) -> Certificate:
    """:func:`certify` of an objective at its present point."""
    mean, gradient = objective.gradient()
    penalty = objective.penalty()
    _check_finite(mean + penalty, gradient)
    distances, slopes = residuals(objective.blocks, objective.point, gradient)
    blocks = objective.blocks
    per_parameter = {
        block.entry.name: ParameterGap(
            gap=most(distance) / slope,
            residual=most(distance),
            nonzeros=int(block.parameter.count_nonzero()),
            size=block.parameter.numel(),
        )
        for block, distance, slope in zip(blocks, distances, slopes, strict=True)
    }
    penalised = [block for block in blocks if block.entry.penalty is not None]
    constant = _null_objective(objective)
    return Certificate(
        objective=mean + penalty,
        null_objective=constant,
        loss=mean,
        penalty=penalty,
        gap=max(part.gap for part in per_parameter.values()),
        residual=max(part.residual for part in per_parameter.values()),
        kink_gap=nearest(objective, gradient, samples, seed).gap if samples else None,
        samples=samples,
        radius=radius(objective.point),
        nonzeros=sum(int(block.parameter.count_nonzero()) for block in penalised),
        penalised=sum(block.parameter.numel() for block in penalised),
        per_parameter=MappingProxyType(per_parameter),
        notes=(
            *_scaled(objective.plan),
            *_notes(objective.model),
            *_tangent(objective),
            *_unknown(constant),
            *notes,
        ),
    )


def _check_finite(cost: float, gradient: Vector) -> None:
    if not isfinite(cost) or not all(bool(g.isfinite().all()) for g in gradient):
        raise FitError(
            "the cost or its gradient is not finite",
            got=f"cost {cost:g}",
            expected="finite numbers",
            remedy="Look for NaN in the data, and for weights that have diverged.",
        )


def _null_objective(objective: Objective) -> float:
    """min_c mean loss(c, y) over constants c: the cost of a network without weights."""
    shape, dtype = objective.output_shape, objective.at[1]
    return best_constant(objective.criterion, objective.targets(), shape, dtype)


def _unknown(null_objective: float) -> tuple[str, ...]:
    if not isnan(null_objective):
        return ()
    return ("The best constant prediction under this loss is not known.",)


def _scaled(plan: Plan) -> tuple[str, ...]:
    """Whether training has another strength at present than what is certified."""
    if plan.acting_scale == 1:
        return ()
    factor = f"{plan.acting_scale:g}"
    return (
        f"The plan is taken as written; its handle applies it × {factor}: for that pass "
        f"plan.scaled({factor}).",
    )


def _notes(model: nn.Module) -> tuple[str, ...]:
    """What eval mode changed, as far as this network has it."""
    notes = []
    modules = list(model.modules())
    if any(getattr(m, "p", 0) for m in modules if isinstance(m, nn.modules.dropout._DropoutNd)):
        notes.append("Dropout is off here: training minimised an average over its masks.")
    if any(isinstance(m, nn.modules.batchnorm._NormBase) for m in modules):
        notes.append(
            "Normalisation layers use their running statistics here, not those of a batch."
        )
    return tuple(notes)


def _tangent(objective: Objective) -> tuple[str, ...]:
    """Which parameters are judged on the spheres of their rows."""
    names = [block.entry.name for block in objective.blocks if block.sphere is not None]
    if not names:
        return ()
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return (
        "Judged at the norms they have, along the tangent, because a normalisation layer undoes "
        f"their size: {shown}.",
    )
