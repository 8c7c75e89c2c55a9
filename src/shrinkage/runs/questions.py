"""New rows through a trained network: encoded and scaled as the training rows were."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from shrinkage.arguments import as_path
from shrinkage.data import Data, Split
from shrinkage.data.encoding import Encoding
from shrinkage.data.examples import check_dense
from shrinkage.data.files import read_frame
from shrinkage.errors import DataError, FitError, shown
from shrinkage.graph.untouched import brought, home
from shrinkage.runs.typed import checked, field

Rows = str | Path | pl.DataFrame | Tensor | np.ndarray[Any, Any]
"""A .csv or .parquet file, a frame, or numbers (n, n_inputs) in the units of the data."""

ANSWER = "prediction"
"""The column of answers."""
_AT_ONCE = 4096
_ENCODING = {
    "inputs": list[tuple[str, str | None]],
    "levels": dict[str, list[str]],
    "gaps": list[str],
}
_SCALING = {
    "input_mean": list[float],
    "input_scale": list[float],
    "input_constant": list[bool],
    "double": bool,
    "target_mean": float,
    "target_scale": float,
}


@dataclass(frozen=True)
class Questions:
    """How rows become inputs, and outputs answers.

    ``scaling``: mean and scale of each input and of a regression's target, where there are some;
    which inputs were constant, and count as 0; ``double``: inputs were float64 before scaling.
    ``classes``: of a classification; ``shares``: whether its outputs are logits of probabilities.
    ``shape``: of one input. ``middle``: the output between two classes that have one output.
    ``ids``: inputs are integers, as they are.
    """

    encoding: Encoding
    scaling: Mapping[str, Any]
    classes: tuple[str, ...]
    shares: bool
    shape: tuple[int, ...]
    middle: float = 0.0
    ids: bool = False

    @classmethod
    def of(cls, data: Data, parts: Split, *, shares: bool, middle: float = 0.0) -> Self:
        """Those of networks that have learnt from these parts."""
        scaling: dict[str, Any] = {}
        if parts.x_mean is not None and parts.x_scale is not None:
            scaling |= {"input_mean": parts.x_mean.tolist(), "input_scale": parts.x_scale.tolist()}
        if parts.x_constant is not None and bool(parts.x_constant.any()):
            scaling["input_constant"] = parts.x_constant.tolist()
        if data.x.dtype == torch.float64:
            scaling["double"] = True
        if (parts.y_mean, parts.y_scale) != (0.0, 1.0):
            scaling |= {"target_mean": parts.y_mean, "target_scale": parts.y_scale}
        ids, shape = not data.x.is_floating_point(), data.spec.input_shape
        return cls(Encoding.of(data), scaling, data.classes, shares, shape, middle, ids)

    def of_inputs(self, places: list[int]) -> Self:
        """Those of a network that takes some of the inputs only."""
        scaling = {
            key: [value[k] for k in places] if key.startswith("input_") else value
            for key, value in self.scaling.items()
        }
        encoding = self.encoding.of_inputs(places) if self.encoding.inputs else self.encoding
        return replace(self, encoding=encoding, scaling=scaling, shape=(len(places),))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "encoding": self.encoding.as_json(),
            "scaling": dict(self.scaling),
            "classes": list(self.classes),
            "shares": self.shares,
            "shape": list(self.shape),
            **({"middle": self.middle} if self.middle else {}),
            **({"ids": True} if self.ids else {}),
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`as_json`; :class:`ValueError` for values of another type."""
        encoding = field(told, "encoding", dict[str, Any], "questions.")
        for key, hint in _ENCODING.items():
            field(encoding, key, hint, "questions.encoding.")
        shape = tuple(field(told, "shape", list[int], "questions."))
        scaling = _scaling(field(told, "scaling", dict[str, Any], "questions."), shape)
        if encoding["inputs"] and (len(encoding["inputs"]),) != shape:
            raise ValueError(f"{len(encoding['inputs'])} encoded inputs for a shape of {shape}")
        classes = tuple(field(told, "classes", list[str], "questions."))
        shares = field(told, "shares", bool, "questions.")
        return cls(
            Encoding.of_json(encoding),
            scaling,
            classes,
            shares,
            shape,
            field(told, "middle", float | None, "questions.") or 0.0,
            field(told, "ids", bool | None, "questions.") or False,
        )

    def ask(self, model: nn.Module, rows: Rows, used: Tensor | None = None) -> pl.DataFrame:
        """One row per row: ``prediction``, and ``probability=CLASS`` for each class.

        ``used``: which inputs the network reads, of the shape of one, where that is known; columns
        of a table that it does not read may be missing, or hold anything.
        Raises :class:`DataError` for rows that cannot be read or do not fit, and
        :class:`FitError` for answers that are not finite.
        """
        x, at = self._inputs(rows, used), home(model)
        with torch.no_grad():
            parts = [model(brought(x[k : k + _AT_ONCE], at)) for k in range(0, len(x), _AT_ONCE)]
        outputs = torch.cat(parts).double().cpu() if parts else torch.empty(0, 1).double()
        outputs = outputs[:, None] if outputs.ndim == 1 else outputs.flatten(1)
        broken = int((~outputs.isfinite()).any(dim=1).sum())
        if broken:
            raise FitError(
                "the network gave numbers that are not finite",
                got=f"{broken} of {len(outputs)} rows",
                expected="finite answers",
                remedy="Look for rows far from those that it has learnt from.",
            )
        return self._answers(outputs)

    def _inputs(self, rows: Rows, used: Tensor | None) -> Tensor:
        """In float32; scaled as :func:`split` does, where a missing number is the mean, 0."""
        if isinstance(rows, Tensor | np.ndarray):
            x = self._checked(_tensor(rows))
        elif self.encoding.inputs:
            idle = frozenset[str]() if used is None else self.encoding.idle(used.tolist())
            x = self.encoding.encode(*self._read(rows), idle)
        else:
            raise DataError(
                "the network has learnt from arrays",
                got=shown(rows),
                expected="rows as a tensor or an array, in the units of the data",
                remedy="Pass X of the new rows; of a frame, frame.to_numpy().",
            )
        if self.ids:
            return self._whole(x)
        if not self.scaling.get("double"):
            x = x.float()
        if not self.scaling.get("input_mean"):
            return x.nan_to_num().float()
        mean, scale, constant = (
            torch.tensor(self.scaling.get(f"input_{part}", 0.0), dtype=torch.float64, device="cpu")
            for part in ("mean", "scale", "constant")
        )
        return torch.where(x.isnan() | constant.bool(), 0.0, ((x.double() - mean) / scale).float())

    def _checked(self, rows: Tensor) -> Tensor:
        is_raw = rows.dtype == torch.uint8 and rows.ndim > 2
        if tuple(rows.shape[1:]) != self.shape or is_raw or not rows.isfinite().all():
            raise DataError(
                "the rows do not fit the network",
                got=f"{rows.dtype} of shape {tuple(rows.shape)}, or numbers that are not finite",
                expected=f"finite numbers of shape {('n', *self.shape)}".replace("'", ""),
                remedy="Give them as the network has learnt: images as floats, channels first, "
                "those of uint8 divided by 255; tables in the units of the data.",
            )
        return rows.double()

    def _whole(self, x: Tensor) -> Tensor:
        """Ids: whole numbers of any dtype, as a frame's or an array's."""
        if not bool((x == x.round()).all()):
            raise DataError(
                "the rows do not fit the network",
                got="numbers with fractions",
                expected="whole numbers: the network reads ids",
                remedy="Pass the ids as they were in training.",
            )
        return x.long()

    def _read(self, rows: str | Path | pl.DataFrame) -> tuple[str, pl.DataFrame]:
        if isinstance(rows, pl.DataFrame):
            return "rows", rows
        if not isinstance(rows, str | Path):
            raise DataError(
                "no table of new rows",
                got=shown(rows),
                expected="a .csv or .parquet file, a frame of polars, or an array or tensor",
                remedy="Of a pandas frame: polars.DataFrame(frame.to_dict('list')); of lists, "
                "numpy.asarray(rows).",
            )
        path = as_path("the table of new rows", rows, error=DataError)
        if not path.is_file() or path.suffix.lower() not in (".csv", ".parquet"):
            raise DataError(
                "no table of new rows",
                got=shown(str(path)),
                expected="a .csv or .parquet file that exists",
                remedy="Check the path.",
            )
        return path.name, read_frame(path, self.encoding.levels)

    def _answers(self, outputs: Tensor) -> pl.DataFrame:
        is_one = outputs.shape[1] == 1 and len(self.classes) == 2
        usual = not len(outputs) or outputs.shape[1] in (len(self.classes), is_one)
        return self._chosen(outputs, is_one) if self.classes and usual else self._numbers(outputs)

    def _numbers(self, outputs: Tensor) -> pl.DataFrame:
        """In the units of the data."""
        scale, mean = self.scaling.get("target_scale", 1), self.scaling.get("target_mean", 0)
        numbers = (outputs * scale + mean).T
        names = [ANSWER] if len(numbers) == 1 else [f"{ANSWER} {k}" for k in range(len(numbers))]
        return pl.DataFrame(dict(zip(names, numbers.numpy(), strict=True)))

    def _chosen(self, outputs: Tensor, is_one: bool) -> pl.DataFrame:
        chosen = (outputs[:, 0] > self.middle).long() if is_one else outputs.argmax(dim=1)
        known = [self.classes[k] for k in chosen.tolist()]
        found: dict[str, Any] = {ANSWER: pl.Series(known, dtype=pl.String)}
        if self.shares and len(outputs) and not is_one:
            columns = zip(self.classes, outputs.softmax(dim=1).T.numpy(), strict=True)
            found |= {f"probability={name}": column for name, column in columns}
        return pl.DataFrame(found)


def _scaling(told: Mapping[str, Any], shape: tuple[int, ...]) -> Mapping[str, Any]:
    for key, value in told.items():
        name = f"questions.scaling.{key}"
        if key not in _SCALING:
            raise ValueError(f"{name} is not known")
        checked(value, _SCALING[key], name)
        if isinstance(value, list) and (len(value),) != shape:
            raise ValueError(f"{name} has {len(value)} entries for inputs of {shape}")
    return told


def _tensor(rows: Tensor | np.ndarray[Any, Any]) -> Tensor:
    """The rows as a tensor in this machine's memory; :class:`DataError` for no real numbers."""
    if isinstance(rows, Tensor):
        is_real, found = not rows.is_complex(), rows
    else:
        kind = rows.dtype.newbyteorder("=") if rows.dtype.kind in "biu" else np.dtype(np.float64)
        is_real = rows.dtype.kind in "biuf"
        found = torch.from_numpy(rows.astype(kind)) if is_real else torch.empty(0)
    if not is_real:
        raise DataError(
            "the rows are no numbers",
            got=f"{shown(rows)} of {rows.dtype}",
            expected="a tensor or an array of real numbers",
            remedy="Pass X of the new rows.",
        )
    check_dense("the rows", found)
    return found.detach().cpu()
