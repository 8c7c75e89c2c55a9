"""The first layer as small pictures: kernels, the inputs' weights as images, or input columns."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from shrinkage.runs import ParameterConfig, StudyConfig
from shrinkage.runs.records import Json

DrawnUnit = Literal["kernels", "neurons", "columns"]
_MOST_CELLS = 16_384
_TILES = {"kernels": 16, "neurons": 12}
_COLUMNS = 12


@dataclass(frozen=True)
class Picture:
    """Values of one network: (tiles, height, width), or Σ|w| per input column."""

    values: NDArray[Any]


@dataclass(frozen=True)
class FirstLayer:
    """Which parameter is shown, and how."""

    path: str
    name: str
    kind: DrawnUnit
    shape: tuple[int, ...]
    image: tuple[int, ...]
    columns: tuple[str, ...]

    @classmethod
    def of_run(cls, config: StudyConfig) -> Self | None:
        """The same of a run's networks."""
        return cls.of(config.plan, config.spec.input_shape, config.data.columns)

    @classmethod
    def of(
        cls, plan: Iterable[ParameterConfig], image: tuple[int, ...], columns: Sequence[str]
    ) -> Self | None:
        """The first weight of the network if it can be shown: None for other shapes.

        ``image``: the shape of an input; ``columns``: the names of a table's.
        """
        entry = next((one for one in plan if len(one.shape) > 1), None)
        if entry is None:
            return None
        kind = _kind_of(entry.shape, image)
        if kind is None:
            return None
        names = _names_of(kind, entry.shape[1], columns)
        return cls(entry.path, entry.name, kind, entry.shape, image, names)

    def picture(self, tensors: dict[str, NDArray[Any]]) -> Picture | None:
        """The picture of one network; several input channels are averaged."""
        weight = tensors.get(self.path)
        if weight is None or weight.shape != self.shape:
            return None
        if self.kind == "columns":
            return Picture(np.abs(weight).sum(axis=0))
        channels, *size = self.shape[1:] if self.kind == "kernels" else self.image
        cells = prod(size)
        most = max(1, min(_TILES[self.kind], _MOST_CELLS // cells))
        maps = weight[:most].reshape(-1, channels, *size)
        mean = maps.mean(axis=1)
        zero = (maps == 0).all(axis=1)
        return Picture(np.where(zero, 0.0, np.where(mean == 0, 1e-12, mean)))

    def describe(self, pictures: Iterable[Picture]) -> Json:
        """What the page needs to know once."""
        known = list(pictures)
        if self.kind == "columns":
            order = self._order(known)
            left = self.shape[1] - len(order)
            return {
                "kind": "columns",
                "names": [self.columns[k] for k in order],
                "title": f"Σ|w| per input column{f', {left} more not shown' if left else ''}",
            }
        height, width = (self.shape[2:] if self.kind == "kernels" else self.image[1:])[-2:]
        tiles = known[0].values.shape[0] if known else 0
        channels = self.shape[1] if self.kind == "kernels" else self.image[0]
        what = "kernels" if self.kind == "kernels" else "neurons"
        count = f"{tiles} of {self.shape[0]}" if tiles < self.shape[0] else f"{tiles}"
        mean = ", mean over input channels" if channels > 1 else ""
        return {
            "kind": self.kind,
            "height": height,
            "width": width,
            "tiles": tiles,
            "title": f"{self.name}: {count} {what}{mean}",
        }

    def encode(self, picture: Picture, pictures: Iterable[Picture]) -> Json:
        """One picture in the scale that all share."""
        known = list(pictures)
        if self.kind == "columns":
            top = max(float(p.values.max()) for p in known) or 1.0
            order = self._order(known)
            used = int((picture.values > 0).sum())
            return {
                "bars": [_bar(float(picture.values[k]) / top) for k in order],
                "used": f"{used} of {self.shape[1]} columns used",
            }
        scale = max(float(np.abs(p.values).max()) for p in known)
        return {"cells": packed(picture.values, scale)}

    def _order(self, pictures: list[Picture]) -> list[int]:
        """The columns with the largest share of Σ|w| over all pictures."""
        total = np.zeros(self.shape[1])
        for picture in pictures:
            whole = picture.values.sum()
            total += picture.values / whole if whole else 0.0
        return [int(k) for k in np.argsort(-total, kind="stable")[:_COLUMNS]]


def _kind_of(shape: tuple[int, ...], image: tuple[int, ...]) -> DrawnUnit | None:
    """How a weight of this shape can be shown; None where it cannot."""
    if len(shape) == 4:
        return "kernels" if shape[2] * shape[3] <= 256 else None
    if len(shape) != 2 or shape[1] != prod(image):
        return None
    if len(image) == 1:
        return "columns"
    return "neurons" if len(image) == 3 and prod(image[1:]) <= _MOST_CELLS else None


def _names_of(kind: DrawnUnit, count: int, columns: Sequence[str]) -> tuple[str, ...]:
    """The names of a table's columns, numbers where there are none."""
    if len(columns) == count:
        return tuple(columns)
    return tuple(f"input {k}" for k in range(count)) if kind == "columns" else ()


def _bar(share: float) -> float:
    return max(1e-4, round(share, 4)) if share else 0.0


def packed(values: NDArray[Any], scale: float) -> str:
    """Values as signed bytes in base64; only exact zeros are 0."""
    whole = np.clip(np.rint(values / (scale or 1.0) * 127), -127, 127)
    whole = np.where((whole == 0) & (values != 0), np.copysign(1, values), whole)
    return base64.b64encode(whole.astype(np.int8).tobytes()).decode("ascii")
