"""The optimizer's steps of several parameters, as those of the coupled groups they make up."""

from collections.abc import Sequence

import torch
from torch import Tensor

from shrinkage.optim.metrics import Metric, Reading
from shrinkage.plans.coupled import Term


def stacked(term: Term, readings: Sequence[Reading]) -> Reading:
    """One reading for the rows of coupled groups, of one per parameter.

    The step is a number where all parameters have the same, else one per weight; the reach is
    the shortest, and the learning rate that of the first.
    """

    def metric(*_: object) -> Metric:
        metrics = [reading.metric for reading in readings]
        reach, steps = min(m.reach for m in metrics), [m.step for m in metrics]
        if not any(isinstance(step, Tensor) for step in steps) and len(set(steps)) == 1:
            return Metric(steps[0], reach)
        pairs = zip(steps, term.parameters, strict=True)
        whole = [torch.as_tensor(step).to(p).expand(p.shape) for step, p in pairs]
        return Metric(term.gathered(whole), reach)

    first = readings[0]
    return Reading(metric, first.group, first.state, first.parameter)
