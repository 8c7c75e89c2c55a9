"""What can be turned while the networks train: one frozen value, checked, and its link."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite
from types import MappingProxyType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from shrinkage.arguments import as_choice
from shrinkage.errors import ExploreError, did_you_mean, shown
from shrinkage.experiments.columns import COLUMNS, Column
from shrinkage.experiments.fit import LEARNING_RATES
from shrinkage.explorer.options import FIRST
from shrinkage.runs.knobs import STRENGTH, knob

OFFERED: Mapping[str, Column] = MappingProxyType(
    {name: column for name, column in COLUMNS.items() if column.is_live}
)
"""The columns that can train live."""
OPTIMIZERS = ("sgd", "adam")
_MOST_COLUMNS = 4
_DEEPEST = 10.0
DIAL_END = 0.01
"""Where the dial of a network of several layers ends at first: a stronger λ puts whole layers to
sleep within a second. A single layer has no saddle, and its weights come back from any λ."""
SHALLOW_END = 1.0


@dataclass(frozen=True)
class ColumnChoice:
    """A column on screen and its knob: λ, or p for dropout …; 0 and without effect for none."""

    name: str
    knob: float

    @property
    def column(self) -> Column:
        """What the name stands for."""
        return OFFERED[self.name]


@dataclass(frozen=True)
class Controls:
    """Everything that the page can set.

    ``train_size``: how many training examples are used; ``label_noise``: the share of them whose
    label is replaced by another class (regression: noise of so many standard deviations).
    ``biases``: whether biases are penalised too. ``seed`` decides weights, batches and noise.
    Raises :class:`ExploreError` for values without meaning.
    """

    columns: tuple[ColumnChoice, ...]
    lr: float
    batch_size: int
    train_size: int
    optimizer: str = "sgd"
    label_noise: float = 0.0
    biases: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _check_names([choice.name for choice in self.columns])
        for choice in self.columns:
            column = choice.column
            symbol = knob(column.knob if column.most else STRENGTH).symbol
            most = _DEEPEST if column.most is None else column.most
            _check(f"{symbol} of {column.label}", choice.knob, 0, most)
        _check("learning rate", self.lr, 1e-12, 1e12)
        _check("batch size", self.batch_size, 1, 10**6)
        _check("training examples", self.train_size, 1, 10**9)
        _check("label noise", self.label_noise, 0, 1)
        _check("seed", self.seed, 0, 2**32 - 1)
        remedy = "Check the spelling."
        as_choice("optimizer", self.optimizer, OPTIMIZERS, remedy=remedy, error=ExploreError)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """With some controls set anew; ``strength`` sets λ of every column that has one.

        ``knobs`` maps names of columns to their knobs, ``columns`` is a list of names; a new
        optimizer brings its usual learning rate unless ``lr`` is given.
        """
        given = dict(changes)
        columns = self._columns(
            given.pop("columns", None), given.pop("strength", None), given.pop("knobs", {})
        )
        kinds = {field.name: type(getattr(self, field.name)) for field in fields(self)}
        unknown = [name for name in given if name not in kinds]
        if unknown:
            raise ExploreError(
                "control is unknown",
                got=repr(unknown[0]),
                expected=f"some of {', '.join(kinds)}, strength, knobs",
                remedy=did_you_mean(unknown[0], [k for k in kinds if k not in given])
                + "Check the spelling.",
            )
        if given.get("optimizer", self.optimizer) != self.optimizer:
            given.setdefault("lr", LEARNING_RATES.get(str(given["optimizer"]), self.lr))
        typed = {name: _typed(name, value, kinds[name]) for name, value in given.items()}
        return replace(self, columns=columns, **typed)

    def _columns(
        self, names: object, strength: object, knobs: Mapping[str, Any]
    ) -> tuple[ColumnChoice, ...]:
        columns = self.columns if names is None else self._named(names)
        if strength is not None:
            value = _typed("strength", strength, float)
            columns = tuple(replace(c, knob=value) if _has_strength(c.name) else c for c in columns)
        if not isinstance(knobs, Mapping):
            raise _not_a("mapping of knobs", knobs)
        return tuple(
            replace(c, knob=_typed("knob", knobs[c.name], float)) if c.name in knobs else c
            for c in columns
        )

    def _named(self, names: object) -> tuple[ColumnChoice, ...]:
        """Columns by their names; those on screen keep their knobs."""
        if not isinstance(names, list | tuple):
            raise _not_a("list of columns", names)
        known = {choice.name: choice for choice in self.columns}
        strength = next((c.knob for c in self.columns if _has_strength(c.name)), 0.0)
        return tuple(
            known.get(name) or ColumnChoice(str(name), _first_knob(str(name), strength))
            for name in names
        )

    @property
    def query(self) -> str:
        """The settings as the query of a link: ``columns=none,l1@0.001&lr=0.05…``."""
        columns = ",".join(
            c.name if c.name == "none" else f"{c.name}@{c.knob:g}" for c in self.columns
        )
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "columns"}
        shown = {k: int(v) if isinstance(v, bool) else f"{v:g}" if isinstance(v, float) else v
                 for k, v in plain.items()}  # fmt: skip
        return urlencode({"columns": columns, **shown}, safe=",@")

    def restored(self, link: str) -> Self:
        """These controls with what a link, or its query, says.

        Raises :class:`ExploreError` for what is no such link.
        """
        parts = urlsplit(link)
        query = parts.fragment or parts.query or link.lstrip("?#")
        given: dict[str, Any] = dict(parse_qsl(query))
        if not given:
            raise ExploreError(
                "not a link with settings",
                got=repr(link[:80]),
                expected="what the page's button 'copy link' gave",
                remedy="For instance columns=none,l1@0.001&lr=0.05.",
            )
        columns = given.pop("columns", None)
        if columns is not None:
            pairs = [part.partition("@") for part in columns.split(",") if part]
            given["columns"] = [name for name, _, _ in pairs]
            given["knobs"] = {name: value for name, at, value in pairs if at}
        return self.changed(given)


def first_controls(
    n_train: int, batch_size: int, columns: tuple[str, ...] = FIRST, /, **given: Any
) -> Controls:
    """The controls that a page opens with: every λ at 0, so that the dial is the first move."""
    plain = Controls((ColumnChoice("none", 0.0),), LEARNING_RATES["sgd"], batch_size, n_train)
    return plain.changed({"columns": list(columns), **given})


def _has_strength(name: str) -> bool:
    return name in OFFERED and OFFERED[name].knob == STRENGTH


def _first_knob(name: str, strength: float) -> float:
    if name in OFFERED and OFFERED[name].most is not None:
        return OFFERED[name].first
    return strength if _has_strength(name) else 0.0


def _typed(name: str, value: Any, kind: type) -> Any:
    """A value of the control's type: pages and links send numbers as text, too."""
    try:
        if not isinstance(value, str | int | float):
            raise TypeError(kind)
        if kind is bool:
            return {"1": True, "0": False, "true": True, "false": False}[str(value).lower()]
        if isinstance(value, bool):
            raise ValueError(value)
        if kind is int:
            number = float(value)
            if number != int(number):
                raise ValueError(value)
            return int(number)
        return kind(value)
    except (TypeError, ValueError, KeyError, OverflowError):
        word = {int: "whole number", float: "number", bool: "yes or no"}.get(kind, "text")
        raise _not_a(word, value, name) from None


def _not_a(what: str, value: object, name: str = "controls") -> ExploreError:
    return ExploreError(
        f"{name}: not a {what}",
        got=shown(value),
        expected=f"a {what}",
        remedy="Reload the page to see the settings in use.",
    )


def _check_names(names: list[str]) -> None:
    for name in names:
        if name not in OFFERED:
            raise ExploreError(
                "this column cannot be shown live" if name in COLUMNS else "column is unknown",
                got=shown(name),
                expected=f"some of {', '.join(OFFERED)}",
                remedy=did_you_mean(name, [other for other in OFFERED if other not in names])
                + ("sh.contrast shows it." if name in COLUMNS else "Check the spelling."),
            )
    if not 1 <= len(names) <= _MOST_COLUMNS or len(set(names)) < len(names):
        raise ExploreError(
            "these columns do not fit beside each other",
            got=", ".join(names) or "none",
            expected=f"one to {_MOST_COLUMNS} different columns",
            remedy="Name each column once.",
        )


def _check(what: str, value: float, least: float, most: float) -> None:
    if not (isfinite(value) and least <= value <= most):
        raise ExploreError(
            f"{what} is out of range",
            got=f"{value:g}",
            expected=f"{least:g} to {most:g}",
            remedy="Nothing was changed.",
        )
