"""What has been: the curves, and all weights now and then, so that a click finds its past."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from shrinkage.explorer.lanes import Lane
from shrinkage.explorer.looks import Standing
from shrinkage.explorer.stories import Target
from shrinkage.reports.figures.style import lean
from shrinkage.runs.records import Json

_SHOWN = ("train", "train_score", "held", "held_score", "score_name", "penalty", "l1", "l2",
          "max_abs", "top10", "n_parameters", "step")  # fmt: skip
_POINTS = 240
_BYTES = 64 * 2**20


@dataclass
class Curves:
    """The standings of each network so far, thinned: every second one goes when they are many.

    The first and the latest stay.
    """

    points: dict[str, list[Standing]] = field(default_factory=dict)

    def add(self, standing: Standing) -> None:
        """One more standing; of the same step only the newest is kept."""
        known = self.points.setdefault(standing.name, [])
        if known and known[-1].step == standing.step:
            known.pop()
        known.append(standing)
        if len(known) > _POINTS:
            del known[1:-1:2]

    def newest(self, name: str) -> Json:
        """The numbers of a network's newest standing that the page shows."""
        return {field: getattr(self.points[name][-1], field) for field in _SHOWN}

    def lines(self, name: str) -> Json:
        """A network's curves, field by field."""
        points = self.points[name]
        return {
            "step": [p.step for p in points],
            "train": lean([p.train for p in points]),
            "held": lean([p.held for p in points]),
            "l1": lean([p.l1 for p in points]),
            "zeros": lean([p.zeros / p.size for p in points]),
            "knob": [p.knob for p in points],
        }


@dataclass
class Past:
    """All penalised weights of every network at some steps: at most 64 MB, thinned by halves."""

    steps: list[int] = field(default_factory=list)
    weights: list[dict[str, dict[str, Tensor]]] = field(default_factory=list)

    def note(self, step: int, lanes: list[Lane]) -> None:
        """Keep what the networks hold now."""
        if self.steps and self.steps[-1] == step:
            return
        now = {
            lane.name: {e.path: p.detach().clone() for e, _, p in lane.plan.blocks()}
            for lane in lanes
        }
        self.steps.append(step)
        self.weights.append(now)
        size = sum(t.numel() * t.element_size() for kept in now.values() for t in kept.values())
        if len(self.steps) > max(8, min(_POINTS, _BYTES // max(1, size))):
            del self.steps[1:-1:2], self.weights[1:-1:2]

    @torch.no_grad()
    def series(self, target: Target, name: str) -> list[tuple[int, float]]:
        """(step, value) of a target in one network."""
        return [
            (step, target.size(kept[name][target.path]))
            for step, kept in zip(self.steps, self.weights, strict=True)
            if target.path in kept.get(name, {})
        ]
