"""The chain of a seed: its scales one after the other, each from the weights of the one before."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from shrinkage.experiments.paths.points import ends
from shrinkage.experiments.paths.setting import PathSetting, PointJob, key
from shrinkage.experiments.runner import Weights
from shrinkage.runs import PathFitRecord, PointRecord, RunView


@dataclass(frozen=True, eq=False)
class Scales:
    """The fits of a seed at these scales; the first goes on from ``start``.

    None: from the dense network where there is one, else from the beginning.
    """

    setting: PathSetting
    seed: int
    scales: Sequence[float]
    start: float | None = None

    @property
    def names(self) -> Sequence[str]:
        """The keys of the fits."""
        return [key(self.seed, scale) for scale in self.scales]

    def known(self, view: RunView) -> Container[str]:
        """The fits that are in the run folder."""
        return view.records(PointRecord)

    def first(self, view: RunView, at_hand: Mapping[str, Weights]) -> PointJob | None:
        """The first fit that is not in the run folder; None where all are, or the chain has ended.

        It ends after a fit that failed, and after an empty network, which stays so.
        """
        fits, before = view.records(PointRecord), self.start
        if before is None and self.setting.ascending:
            before = 0.0
        for scale in self.scales:
            fit = fits.get(key(self.seed, scale))
            if fit is None:
                if before is None or not scale:
                    return PointJob(self.seed, scale)
                known = fits.get(key(self.seed, before))  # missing where it has ended before
                return _after(known, scale, view, at_hand)
            if ends(self.setting, fit):
                return None
            before = scale
        return None


def _after(
    known: PointRecord | None, scale: float, view: RunView, at_hand: Mapping[str, Weights]
) -> PointJob | None:
    """The fit at a scale from the weights of a known one; None where there are none."""
    if not isinstance(known, PathFitRecord):
        return None
    name = known.key
    weights = at_hand[name] if name in at_hand else view.weights(name)
    return PointJob(known.seed, scale, weights, known.train.loss)
