"""Everything that can be read off a network, in one call."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from shrinkage.analysis.measures.activations import LayerActivity, activity, owner_of
from shrinkage.analysis.measures.evaluation import Evaluation, evaluate
from shrinkage.analysis.measures.losses import Loss, fitting_together
from shrinkage.analysis.measures.reachability import Reach, reach_or_why
from shrinkage.analysis.measures.removal import check_same
from shrinkage.analysis.measures.weights import LayerWeights, WeightCounts, weigh
from shrinkage.data import Examples, Split, examples
from shrinkage.errors import DataError
from shrinkage.graph.wrappers import check_network
from shrinkage.penalties import L1
from shrinkage.plans import Plan

DataPart = Examples | tuple[Any, Any] | Dataset[Any] | DataLoader[Any]
Parts = DataPart | Split | Mapping[str, DataPart]


@dataclass(frozen=True, eq=False)
class Measures:
    """What :func:`measure` found. ``print(measures)`` shows it, :meth:`to_dict` is plain JSON.

    - ``parts``: an evaluation per part of the data, e.g. "train" and "test".
    - ``gap``: loss on "test" − loss on "train"; None unless both are there.
    - ``penalty``: Σ P(w) in float64, ``penalty_share`` = penalty/(loss + penalty) with the loss
      of "train" or of the only part; None where there is no such part, or its loss is below 0.
    - ``activity`` and ``reach`` (None where the wiring is not known; ``unreached`` says why) need
      data, for the shape of an input; ``activity`` is read on "train" or the first part.
    """

    weights: WeightCounts
    parts: Mapping[str, Evaluation]
    penalty: float
    gap: float | None = None
    penalty_share: float | None = None
    activity: tuple[LayerActivity, ...] | None = None
    reach: Reach | None = None
    unreached: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Numbers, text, lists and dictionaries; numbers that are not finite become None."""
        found = None
        if self.reach is not None:
            found = {
                "n_inputs_unused": self.reach.n_inputs_unused,
                "n_dead_units": self.reach.n_dead_units,
                "inputs": self.reach.inputs.tolist(),
                "units": {name: alive.tolist() for name, alive in self.reach.units.items()},
            }
        plain: dict[str, Any] = _plain(
            {
                "weights": asdict(self.weights),
                "parts": {name: asdict(part) for name, part in self.parts.items()},
                "gap": self.gap,
                "penalty": self.penalty,
                "penalty_share": self.penalty_share,
                "activity": None if self.activity is None else [asdict(a) for a in self.activity],
                "reach": found,
            }
        )
        return plain

    def __str__(self) -> str:
        console = Console(width=132, force_terminal=False, force_jupyter=False, color_system=None)
        with console.capture() as capture:
            console.print(self._layers())
            if self.parts:
                console.print()
                console.print(self._parts())
        return capture.get() + "\n" + "\n".join(self._lines())

    def _layers(self) -> Table:
        table = _table(
            "parameter",
            "weights",
            "zeros",
            "Σ|w|",
            "‖w‖₂",
            "max|w|",
            "top 1 %",
            "top 10 %",
            "Gini",
            "zero units",
            *(["dead units"] if self.reach else []),
            *(["mean|a|", "strongest"] if self.activity else []),
        )
        for layer in self.weights.layers:
            table.add_row(*_row(layer), *self._units(layer))
        table.add_section()
        reached = self.reach
        table.add_row(
            *_row(self.weights.total), *([f"{reached.n_dead_units:,}"] if reached else [])
        )
        return table

    def _units(self, layer: LayerWeights) -> list[str]:
        """What is known of a layer's units; nothing of a bias."""
        owner = None if layer.units is None else owner_of(layer.name)
        cells = []
        if self.reach:
            cells.append(_dead(None if owner is None else self.reach.units.get(owner)))
        if self.activity:
            cells += _answer(next((a for a in self.activity if a.name == owner), None))
        return cells

    def _parts(self) -> Table:
        table = _table("part", "examples", "loss", "score")
        for name, part in self.parts.items():
            score = f"{part.score_name} {part.score:.4f}"
            table.add_row(name, f"{part.n:,}", f"{part.loss:.6g}", score)
        return table

    def _lines(self) -> list[str]:
        w = self.weights
        share = "" if self.penalty_share is None else f", {self.penalty_share:.1%} of the cost"
        lines = [
            f"penalty {self.penalty:.6g}{share}",
            f"{w.nonzero_parameters:,} of {w.n_parameters:,} parameters nonzero "
            f"({w.total.nonzeros:,} of {w.total.size:,} penalised weights)",
        ]
        if self.gap is not None:
            lines.append(f"gap (test loss − train loss) {self.gap:.6g}")
        if self.reach is not None:
            lines.append(
                f"{self.reach.n_inputs_unused:,} of {self.reach.inputs.numel():,} inputs unused, "
                f"{self.reach.n_dead_units:,} filters and neurons on no path"
            )
            if not bool(self.reach.inputs.any()):
                lines.append(_CONSTANT)
        elif self.unreached:
            lines.append(
                f"unused inputs, filters and neurons are not known, because the network's wiring "
                f"could not be followed: {self.unreached}"
            )
        return lines


_CONSTANT = (
    "the network predicts a constant: no path of nonzero weights leads from its inputs to its "
    "outputs. Where that is too much: a smaller strength, or attach(…, warmup=…)"
)


def measure(
    model: nn.Module,
    plan: Plan | None = None,
    data: Parts | None = None,
    loss: Loss | None = None,
) -> Measures:
    """Zeros, norms, concentration, accuracy, activity and reach of ``model``; it stays as it is.

    Without a ``plan`` all weights of known layers are measured, under no penalty.
    ``data`` is :class:`Examples`, a Dataset, a DataLoader, a pair (X, y), a mapping of names to
    such parts, a :class:`Split`, or nothing; inputs are taken as they are (nothing is
    standardised). ``loss`` is what :func:`evaluate` takes. Raises :class:`PlanError` for a plan
    of another network,
    :class:`DataError` for data of another kind and inputs that are not finite, :class:`FitError`
    for data that network and loss do not take, and as :func:`evaluate` does.
    """
    check_network(model, "The order is measure(model, plan, data, loss).")
    plan = Plan(model, L1(0.0)) if plan is None else plan
    check_same(model, plan)
    examples = _examples(data)
    if not examples:
        return Measures(weigh(plan), {}, plan.value())
    parts = _evaluated(model, examples, loss)
    main = "train" if "train" in examples else next(iter(examples))
    sized = main == "train" or len(parts) == 1  # it is known which loss the penalty stands beside
    if sized:
        plan = plan.for_targets(lambda: examples[main].y)
    found, why = _reach(model, examples[main].x)
    penalty = plan.value()
    return Measures(
        weights=weigh(plan),
        parts=parts,
        penalty=penalty,
        gap=parts["test"].loss - parts["train"].loss if {"train", "test"} <= set(parts) else None,
        penalty_share=penalty_share(penalty, parts[main].loss) if sized else None,
        activity=activity(model, examples[main], plan),
        reach=found,
        unreached="" if found else why,
    )


def _evaluated(
    model: nn.Module, examples: Mapping[str, Examples], loss: Loss | None
) -> dict[str, Evaluation]:
    for name, part in examples.items():
        _check_finite(name, part)
    parts: dict[str, Evaluation] = {}
    for name, part in examples.items():
        with fitting_together(part.x, part.y):
            parts[name] = evaluate(model, part, loss)
    return parts


def _examples(data: Parts | None) -> dict[str, Examples]:
    match data:
        case None:
            return {}
        case Split():
            return {"train": data.train, "validation": data.validation, "test": data.test}
        case Mapping() if data:
            return {name: examples(part) for name, part in data.items()}
    return {"data": examples(data)}


def _check_finite(name: str, part: Examples) -> None:
    if part.x.is_floating_point() and not bool(part.x.isfinite().all()):
        raise DataError(
            f"{name}: inputs are not all finite",
            got=f"{int((~part.x.isfinite()).sum()):,} NaN or infinite values",
            expected="finite numbers",
            remedy="Drop these rows, or fill the values in.",
        )


def _dead(alive: Tensor | None) -> str:
    return "" if alive is None else f"{int((~alive).sum()):,} of {len(alive):,}"


def _answer(answer: LayerActivity | None) -> tuple[str, str]:
    if answer is None:
        return "", ""
    return f"{answer.mean_abs:.4g}", f"{answer.strongest_share:.1%}"


def _reach(model: nn.Module, x: Tensor) -> tuple[Reach | None, str]:
    if not x.is_floating_point():
        return None, "its inputs are no real numbers"
    return reach_or_why(model, tuple(x.shape[1:]))


def penalty_share(penalty: float, loss: float) -> float | None:
    """The penalty's part of the cost; None where the loss is below 0, and so there are no parts."""
    if loss < 0:
        return None
    cost = loss + penalty
    return penalty / cost if cost else 0.0


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left", overflow="fold")
    return table


def _row(layer: LayerWeights) -> list[str]:
    return [
        layer.name,
        f"{layer.size:,}",
        f"{layer.zeros / max(1, layer.size):.1%}",
        *(f"{figure:.4g}" for figure in (layer.l1, layer.l2, layer.max_abs)),
        *(f"{share:.1%}" for share in (layer.top1, layer.top10)),
        f"{layer.gini:.3f}",
        "" if layer.units is None else f"{layer.zero_units:,} of {layer.units:,}",
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
