"""The columns of a contrast: what each does to the network, and which knob its tries turn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from shrinkage.errors import FitError, did_you_mean, shown
from shrinkage.experiments.fitting import Form
from shrinkage.penalties import L1, L2, ElasticNet, GroupL1, Penalty

Knob = Literal["strength", "learning rate", "dropout"]


@dataclass(frozen=True)
class Column:
    """One way to treat a network.

    ``penalty`` makes the penalty at a strength λ; its ``form`` is exact or a term in the loss.
    ``knob`` is what the tries vary: the strength where there is a penalty, the dropout
    probability, or, where there is nothing of its own to vary, the learning rate. ``prunes``:
    magnitude pruning to the nonzeros of the column it names, then fine-tuning.
    """

    name: str
    label: str
    knob: Knob = "learning rate"
    penalty: Callable[[float], Penalty] | None = None
    form: Form = "exact"
    prunes_like: str | None = None

    def knobs(self, strengths: Sequence[float]) -> tuple[float, ...]:
        """One value of the knob per try, from least to most regularized where that has a meaning.

        Learning rates are factors 2, 1, ½, ¼ … of the training's own.
        """
        count = len(strengths)
        match self.knob:
            case "strength":
                return tuple(strengths)
            case "learning rate":
                return tuple(2.0 ** (1 - k) for k in range(count)) if count > 1 else (1.0,)
            case "dropout":
                return tuple(round(0.8 * (k + 1) / (count + 1), 3) for k in range(count))

    def penalty_at(self, knob: float) -> Penalty:
        """The penalty of a try; L1(0) where the column has none."""
        return L1(0.0) if self.penalty is None else self.penalty(knob)


def _elastic_net(strength: float) -> Penalty:
    return ElasticNet(l1=strength / 2, l2=strength / 2)


def _group_l1(strength: float) -> Penalty:
    return GroupL1(strength, by="filter")


_ALL = (
    Column("none", "none"),
    Column("l1_term", "L1 as loss term", "strength", L1, "term"),
    Column("l1", "L1 exact", "strength", L1),
    Column("l2", "L2", "strength", L2),
    Column("elastic_net", "elastic net", "strength", _elastic_net),
    Column("group_l1", "group L1", "strength", _group_l1),
    Column("dropout", "dropout", "dropout"),
    Column("magnitude", "magnitude pruning", prunes_like="l1"),
)

COLUMNS: Mapping[str, Column] = MappingProxyType({column.name: column for column in _ALL})


def columns_named(names: Sequence[str | Column] | None) -> tuple[Column, ...]:
    """The columns of these names, in the order of :data:`COLUMNS`; all where None.

    Columns of one's own come after them, in the order given.
    Raises :class:`FitError` for unknown names, none at all, a name twice, and a pruning column
    without the column whose number of nonzeros it takes.
    """
    if names is not None and not _are_columns(names):
        raise FitError(
            "columns are neither names nor columns",
            got=shown(names),
            expected=f"a list of some of {', '.join(COLUMNS)}",
            remedy=f"Write columns=[{shown(names)}]."
            if isinstance(names, str)
            else 'For instance columns=["none", "l1"].',
        )
    chosen = [
        _column(n) if isinstance(n, str) else n for n in (COLUMNS if names is None else names)
    ]
    known = [column.name for column in chosen]
    if not chosen or len(set(known)) != len(known):
        raise FitError(
            "columns are empty or named twice",
            got=", ".join(known) or "none",
            expected=f"some of {', '.join(COLUMNS)}",
            remedy="Name each column once.",
        )
    for column in chosen:
        if column.prunes_like is not None and column.prunes_like not in known:
            raise FitError(
                f"column {column.name!r} lacks its model",
                got=f"columns {', '.join(known)}",
                expected=f"column {column.prunes_like!r} beside it",
                remedy=f"It prunes to the nonzeros of {column.prunes_like!r}: name both.",
            )
    return tuple(sorted(chosen, key=_place))


def _are_columns(names: object) -> bool:
    many = isinstance(names, list | tuple | Mapping | set | frozenset | type({}.keys()))
    return many and all(isinstance(name, str | Column) for name in names)  # type: ignore[attr-defined]


def _place(column: Column) -> int:
    places = {name: place for place, name in enumerate(COLUMNS)}
    is_ours = COLUMNS.get(column.name) == column
    return places[column.name] if is_ours else len(places)


def _column(name: str) -> Column:
    if name not in COLUMNS:
        raise FitError(
            "column is unknown",
            got=shown(name),
            expected=f"some of {', '.join(COLUMNS)}",
            remedy=did_you_mean(name, COLUMNS) + "See shrinkage contrast --help.",
        )
    return COLUMNS[name]
