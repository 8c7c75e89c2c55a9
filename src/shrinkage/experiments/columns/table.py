"""The table of columns, and columns by name."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from shrinkage.errors import FitError, did_you_mean, shown
from shrinkage.experiments.columns.base import Column
from shrinkage.experiments.columns.dropout import Dropout
from shrinkage.experiments.columns.early_stopping import EarlyStopping
from shrinkage.experiments.columns.label_smoothing import LabelSmoothing
from shrinkage.experiments.columns.weight_decay import WeightDecay
from shrinkage.penalties import L1, L2, ElasticNet, GroupL1, Penalty
from shrinkage.runs.knobs import STRENGTH


def _elastic_net(strength: float) -> Penalty:
    return ElasticNet(l1=strength / 2, l2=strength / 2)


def _group_l1(strength: float) -> Penalty:
    return GroupL1(strength, by="filter")


LESSON = (
    Column("none", "none"),
    Column("l1_term", "L1 as loss term", STRENGTH, L1, "term"),
    Column("l1", "L1 exact", STRENGTH, L1),
    Column("l2", "L2", STRENGTH, L2),
    Column("elastic_net", "elastic net", STRENGTH, _elastic_net),
    Column("group_l1", "group L1", STRENGTH, _group_l1),
    Dropout("dropout", "dropout"),
    Column("magnitude", "magnitude pruning", prunes_like="l1"),
)
_MORE = (
    WeightDecay("weight_decay", "decoupled weight decay"),
    EarlyStopping("early_stopping", "early stopping"),
    LabelSmoothing("label_smoothing", "label smoothing"),
)
"""Those that are shown where they are asked for."""

COLUMNS: Mapping[str, Column] = MappingProxyType(
    {column.name: column for column in (*LESSON, *_MORE)}
)


def columns_named(names: Sequence[str | Column] | None) -> tuple[Column, ...]:
    """The columns of these names, in the order of :data:`COLUMNS`; the lesson's where None.

    Columns of one's own come after them, in the order given.
    Raises :class:`FitError` for unknown names, none at all, a name twice, and a pruning column
    without the column whose number of nonzeros it takes.
    """
    given: Sequence[str | Column] = LESSON if names is None else names
    _check_columns(given)
    chosen = [_column(name) if isinstance(name, str) else name for name in given]
    known = [column.name for column in chosen]
    if not chosen or len(set(known)) != len(known):
        raise FitError(
            "columns are empty or named twice",
            got=", ".join(known) or "none",
            expected=f"some of {', '.join(COLUMNS)}",
            remedy="Name each column once.",
        )
    for column in chosen:
        if column.prunes_like not in (None, *known):
            raise FitError(
                f"column {column.name!r} lacks its model",
                got=f"columns {', '.join(known)}",
                expected=f"column {column.prunes_like!r} beside it",
                remedy=f"It prunes to the nonzeros of {column.prunes_like!r}: name both.",
            )
    return tuple(sorted(chosen, key=_place))


def _check_columns(names: object) -> None:
    many = isinstance(names, list | tuple | Mapping | set | frozenset | type({}.keys()))
    if many and all(isinstance(name, str | Column) for name in names):  # type: ignore[attr-defined]
        return
    parts = names.split(",") if isinstance(names, str) else ["none", "l1"]
    write = shown([part.strip() for part in parts])
    raise FitError(
        "columns are neither names nor columns",
        got=shown(names),
        expected=f"a list of some of {', '.join(COLUMNS)}",
        remedy=f"Write columns={write}.",
    )


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
