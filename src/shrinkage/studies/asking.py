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
from shrinkage.errors import DataError, FitError, shown, told

Rows = str | Path | pl.DataFrame | Tensor | np.ndarray[Any, Any]
"""A .csv or .parquet file, a frame, or numbers (n, n_inputs) in the units of the data."""

ANSWER = "prediction"
"""The column of answers."""
_AT_ONCE = 4096


@dataclass(frozen=True)
class Questions:
    """How rows become inputs, and outputs answers.

    ``scaling``: mean and scale of each input and of a regression's target, where there are some.
    ``classes``: of a classification; ``shares``: whether its outputs are logits of probabilities.
    ``shape``: of one input.
    """

    encoding: Encoding
    scaling: Mapping[str, Any]
    classes: tuple[str, ...]
    shares: bool
    shape: tuple[int, ...]

    @classmethod
    def of(cls, data: Data, parts: Split, *, shares: bool) -> Self:
        """Those of networks that have learnt from these parts."""
        scaling: dict[str, Any] = {}
        if parts.x_mean is not None and parts.x_scale is not None:
            scaling |= {"input_mean": parts.x_mean.tolist(), "input_scale": parts.x_scale.tolist()}
        if (parts.y_mean, parts.y_scale) != (0.0, 1.0):
            scaling |= {"target_mean": parts.y_mean, "target_scale": parts.y_scale}
        return cls(Encoding.of(data), scaling, data.classes, shares, data.spec.input_shape)

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
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`as_json`."""
        encoding = Encoding.of_json(told["encoding"])
        classes, shape = tuple(told["classes"]), tuple(told["shape"])
        return cls(encoding, told["scaling"], classes, told["shares"], shape)

    def ask(self, model: nn.Module, rows: Rows) -> pl.DataFrame:
        """One row per row: ``prediction``, and ``probability=CLASS`` for each class.

        Raises :class:`DataError` for rows that cannot be read or do not fit, and
        :class:`FitError` for answers that are not finite.
        """
        x, at = self._inputs(rows), next(model.parameters(), torch.empty(0))
        with torch.no_grad():
            parts = [model(x[k : k + _AT_ONCE].to(at)) for k in range(0, len(x), _AT_ONCE)]
        outputs = torch.cat(parts).double().cpu() if parts else torch.empty(0, 1).double()
        broken = int((~outputs.isfinite()).any(dim=1).sum())
        if broken:
            raise FitError(
                "the network gave numbers that are not finite",
                got=f"{broken} of {len(outputs)} rows",
                expected="finite answers",
                remedy="Look for rows far from those that it has learnt from.",
            )
        return self._answers(outputs)

    def _inputs(self, rows: Rows) -> Tensor:
        """In float32; scaled as :func:`split` does, where a missing number is the mean, 0."""
        mean, scale = (
            torch.tensor(
                self.scaling.get(f"input_{part}", neutral), dtype=torch.float64, device="cpu"
            )
            for part, neutral in (("mean", 0.0), ("scale", 1.0))
        )
        if isinstance(rows, Tensor | np.ndarray):
            x = self._checked(_tensor(rows))
        elif self.encoding.inputs:
            x = self.encoding.encode(*self._read(rows))
        else:
            raise DataError(
                "the network has learnt from arrays",
                got=shown(rows),
                expected="rows as a tensor or an array, in the units of the data",
                remedy="Pass X of the new rows.",
            )
        if not self.scaling.get("input_mean"):
            return x
        return torch.where(x.isnan(), 0.0, ((x.double() - mean) / scale).to(x.dtype))

    def _checked(self, x: Tensor) -> Tensor:
        fits, pixels = tuple(x.shape[1:]) == self.shape, x.dtype == torch.uint8 and x.ndim > 2
        if not fits or pixels or not bool(x.isfinite().all()):
            raise DataError(
                "the rows do not fit the network",
                got=f"{x.dtype} of shape {tuple(x.shape)}, or numbers that are not finite",
                expected=f"finite numbers of shape {('n', *self.shape)}".replace("'", ""),
                remedy="Give them as the network has learnt: images as floats, channels first, "
                "those of uint8 divided by 255; tables in the units of the data.",
            )
        return x.float()

    def _read(self, rows: str | Path | pl.DataFrame) -> tuple[str, pl.DataFrame]:
        if isinstance(rows, pl.DataFrame):
            return "rows", rows
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
        if not self.classes:
            scale, mean = (
                self.scaling.get(f"target_{p}", n) for p, n in (("scale", 1), ("mean", 0))
            )
            numbers = (outputs * scale + mean).T
            names = (
                [ANSWER] if len(numbers) == 1 else [f"{ANSWER} {k}" for k in range(len(numbers))]
            )
            return pl.DataFrame(dict(zip(names, numbers.numpy(), strict=True)))
        known = [self.classes[k] for k in outputs.argmax(dim=1).tolist()]
        found: dict[str, Any] = {ANSWER: pl.Series(known, dtype=pl.String)}
        if self.shares and len(outputs):
            columns = zip(self.classes, outputs.softmax(dim=1).T.numpy(), strict=True)
            found |= {f"probability={name}": column for name, column in columns}
        return pl.DataFrame(found)


def _tensor(rows: "Tensor | np.ndarray[Any, Any]") -> Tensor:
    """The rows as a tensor in this machine's memory; :class:`DataError` for no real numbers."""
    try:
        x = torch.as_tensor(rows)
        if x.is_complex():
            raise TypeError("complex numbers")
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            "the rows are no numbers",
            got=f"{shown(rows)} ({told(error)})",
            expected="a tensor or an array of real numbers",
            remedy="Pass X of the new rows.",
        ) from None
    check_dense("the rows", x)
    return x.detach().cpu()
