"""Inputs and features: the one-hot columns of one column of a table are one feature."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from shrinkage.runs import RunView


@dataclass(frozen=True)
class Features:
    """The names of the features, and the inputs that belong to each."""

    names: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, view: RunView) -> Self:
        """The features of a run."""
        data = view.study.data
        names = data.columns if data.features is None else data.features
        return cls.of_inputs(names, view.study.spec.n_inputs)

    @classmethod
    def of_inputs(cls, features: Sequence[str], n_inputs: int) -> Self:
        """By the name of each input's feature, or by number where inputs have none.

        >>> Features.of_inputs(("age", "colour", "colour"), 3).inputs
        ((0,), (1, 2))
        """
        members: dict[str, list[int]] = {}
        for number, name in enumerate(features or map(str, range(n_inputs))):
            members.setdefault(name, []).append(number)
        return cls(tuple(members), tuple(map(tuple, members.values())))

    def __len__(self) -> int:
        return len(self.names)

    def used(self, inputs: Collection[int]) -> list[bool]:
        """Whether each feature is used by a network that uses these inputs."""
        known = set(inputs)
        return [not known.isdisjoint(mine) for mine in self.inputs]
