"""Inputs and features: the one-hot columns of one column of a table are one feature."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from shrinkage.runs import RunView

_ONE_HOT = re.compile(r"(.+?)(?<![<>!])=", re.DOTALL)
"""``name=value``; ``<=``, ``>=`` and ``!=`` are comparisons, and a feature each."""


@dataclass(frozen=True)
class Features:
    """The names of the features, and the inputs that belong to each."""

    names: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, view: RunView) -> Self:
        """The features of a run."""
        return cls.from_columns(view.config["data"]["columns"], view.config["spec"]["n_inputs"])

    @classmethod
    def from_columns(cls, columns: Sequence[str], n_inputs: int) -> Self:
        """Columns by name, or inputs by number where they have none.

        What stands before an ``=`` names the feature, as tables write one-hot columns; a comparison
        such as ``bmi<=25`` is a feature of its own.

        >>> Features.from_columns(("age", "colour=blue", "colour=red"), 3).inputs
        ((0,), (1, 2))
        """
        members: dict[str, list[int]] = {}
        for number, column in enumerate(columns or map(str, range(n_inputs))):
            one_hot = _ONE_HOT.match(column)
            members.setdefault(one_hot[1] if one_hot else column, []).append(number)
        return cls(tuple(members), tuple(map(tuple, members.values())))

    def __len__(self) -> int:
        return len(self.names)

    def used(self, inputs: Collection[int]) -> list[bool]:
        """Whether each feature is used by a network that uses these inputs."""
        known = set(inputs)
        return [not known.isdisjoint(mine) for mine in self.inputs]
