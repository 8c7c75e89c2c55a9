"""Stored networks as pictures: histograms of their weights, their first layers, shared scales."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shrinkage.reports.first_layer import FirstLayer, Picture
from shrinkage.reports.seed_figures import plus
from shrinkage.reports.words import num
from shrinkage.runs import NetworkRecord, ParameterConfig, RunView, StudyConfig
from shrinkage.runs.records import Json

Arrays = dict[str, NDArray[Any]]
BINS = 60


@dataclass(frozen=True)
class Pictures:
    """What is drawn of some networks, by name; those without stored weights are left out.

    ``edge``: the largest |weight| of them all, where every histogram ends; ``zeros``: the largest
    number of exact zeros, at least 1.
    """

    edge: float
    zeros: int
    layer: FirstLayer | None
    histograms: dict[Hashable, list[int]]
    firsts: dict[Hashable, Picture]

    @classmethod
    def of(
        cls,
        view: RunView,
        config: StudyConfig,
        named: Iterable[tuple[Hashable, str, NetworkRecord]],
    ) -> Self:
        """The pictures of networks, each given by a name, its key in the run folder, its fit."""
        networks, layer = list(named), FirstLayer.of_run(config)
        edge = max((fit.weights.max_abs or 0.0 for _, _, fit in networks), default=0.0) or 1.0
        zeros = [fit.weights.zeros for _, _, fit in networks]
        made = cls(edge, max([1, *zeros]), layer, {}, {})
        for name, key, _ in networks:
            tensors = stored(view, key)
            if tensors is None:
                continue
            made.histograms[name] = histogram(config.plan, tensors, edge)
            picture = None if layer is None else layer.picture(tensors)
            if picture is not None:
                made.firsts[name] = picture
        return made

    @property
    def most(self) -> int:
        """The largest count: of a bin, or of exact zeros."""
        return max([self.zeros, *map(max, self.histograms.values())])

    @property
    def described(self) -> Json | None:
        """What the page needs to know of the first layer once; None where it cannot be shown."""
        return None if self.layer is None else self.layer.describe(self.firsts.values())

    def of_network(self, name: Hashable) -> Json:
        """``"hist"`` and ``"first"`` of one network, where there are such."""
        drawn: Json = {}
        if name in self.histograms:
            drawn["hist"] = self.histograms[name]
        if name in self.firsts and self.layer is not None:
            drawn["first"] = self.layer.encode(self.firsts[name], self.firsts.values())
        return drawn


def stored(view: RunView, key: str) -> Arrays | None:
    """The weights of a network; None where there are none."""
    tensors = view.weights_left(key)
    return None if tensors is None else {name: t.float().numpy() for name, t in tensors.items()}


def histogram(plan: Iterable[ParameterConfig], tensors: Arrays, edge: float) -> list[int]:
    """Counts of the penalised weights that are not exactly zero, in bins from −edge to edge."""
    counts = np.zeros(BINS, dtype=np.int64)
    for one in plan:
        if one.penalised and one.path in tensors:
            values = tensors[one.path].ravel()
            counts += np.histogram(values[values != 0], bins=BINS, range=(-edge, edge))[0]
    return [int(count) for count in counts]


def cost_parts(loss: float | None, penalty: float | None, share: float) -> Json:
    """Loss, penalty and their sum in words; ``share``: the penalty's."""
    return {
        "share": share,
        "loss": num(loss),
        "penalty": num(penalty),
        "cost": num(plus(loss, penalty)),
    }
