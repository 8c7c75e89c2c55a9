"""A closer look at the chosen network of each column, after the choice: the lesson's claims.

The test set is open here; nothing chosen depends on it any more.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import SGD

from shrinkage.analysis.measures import (
    Criterion,
    activity,
    loss_for,
    reach,
    settled,
    without_largest,
)
from shrinkage.analysis.measures.evaluation import evaluate_forward
from shrinkage.data import Examples
from shrinkage.experiments.contrasts.settings import ContrastSetting, TrialJob
from shrinkage.experiments.contrasts.trial import train
from shrinkage.experiments.fit import Epoch
from shrinkage.experiments.runner import Outcome
from shrinkage.experiments.studies import history
from shrinkage.graph.untouched import brought, home
from shrinkage.optim import attach
from shrinkage.penalties import Penalty
from shrinkage.plans import Entry, Plan
from shrinkage.runs import (
    ActivityRecord,
    CountsRecord,
    RemovalRecord,
    StepsRecord,
    TraceRecord,
    WorthRecord,
)

SAMPLE = 400  # weights shown in a scatter
WORTH = 60  # weights set to zero one by one …
REMOVED_ON = 1000  # … on at most so many training examples, evenly spaced
BATCH = 1024
_LR = 0.01


@dataclass(frozen=True, eq=False)
class Way:
    """The fits on whose weights one stands, from the beginning up to itself."""

    jobs: tuple[TrialJob, ...]

    @property
    def last(self) -> TrialJob:
        """The one that is looked at."""
        return self.jobs[-1]


def trace(setting: ContrastSetting, way: Way) -> Outcome[TraceRecord]:
    """Fit the last job of its way once more, with the test curve beside it, and look inside.

    ``steps``: Δw of one real plain-SGD step that the penalty adds, from the weights of the
    unregularized network of the same seed, divided by the step size (C7, C8). ``worth``: for
    zeros and survivors, the extremes among them, the full-batch gradient of the loss beside the
    slope of the penalty, and for the largest survivors the rise in loss when the weight is set to
    zero beside the penalty saved (C11). ``without_top``:
    scores without the largest 1 % and 10 % of the weights left (C10).
    """
    column = setting.by_name[way.last.column]
    looks: list[Epoch] = []
    start = None
    for step in way.jobs:
        job = replace(step, start=start)
        model, plan, seen = train(setting, job, column, with_test=True)
        looks = [*(look for look in looks if look.epoch <= step.begun), *seen]
        start = model.state_dict()
    split = setting.split(job.seed)
    loss = settled(setting.loss, model, split.train)
    paths = reach(model, setting.data.spec.input_shape)
    record = TraceRecord(
        key=job.key,
        history=history(looks),
        activity=[ActivityRecord(**vars(a)) for a in activity(model, split.train, plan)],
        without_top={
            str(share): without_largest(model, plan, share, split.test, setting.loss).score
            for share in (0.01, 0.1)
        },
        worth=None if column.penalty is None else _worth(model, plan, split.train, loss),
        inputs_used=None if paths is None else paths.inputs.flatten().tolist(),
    )
    return record, {}


def trace_steps(setting: ContrastSetting, job: TrialJob) -> StepsRecord:
    """Δw against w of one real step for a column's chosen penalty, from the job's weights."""
    column = setting.by_name[job.column]
    batch = setting.split(job.seed).train
    loss = loss_for(setting.loss, batch.y)
    moved = []
    for penalised in (True, False):
        model, plan = setting.trained(job)
        model.eval()
        before = {e.name: p.detach().clone() for e, _, p in plan.blocks()}
        optimizer = SGD(model.parameters(), lr=_LR)
        if penalised and column.form == "exact":
            attach(optimizer, plan, method="prox")
        cost = loss(model(batch.x[:256]), batch.y[:256])
        if penalised and column.form == "term":
            cost = cost + plan.penalty()
        cost.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        moved.append({e.name: p.detach() for e, _, p in plan.blocks()})
    flat = [torch.cat([block[name].flatten() for name in before]) for block in (*moved, before)]
    rows = _spread(flat[2], SAMPLE)
    delta = (flat[0] - flat[1])[rows] / _LR
    return StepsRecord(
        key=job.key,
        lr=_LR,
        w=flat[2][rows].tolist(),
        after=flat[1][rows].tolist(),
        delta=delta.tolist(),
    )


def _worth(model: nn.Module, plan: Plan, examples: Examples, loss: Criterion) -> WorthRecord:
    """Gradients on the full training part, in eval mode, and single-weight removals."""
    model.eval()
    model.zero_grad()
    at, whole = home(model), loss.weight(examples.y)
    for x, y in examples.batches(loss.at_once(len(examples), BATCH)):
        part = loss(model(brought(x, at)), brought(y, at)) * (loss.weight(y) / whole)
        part.backward()  # type: ignore[no-untyped-call]
    blocks = list(plan.blocks())
    w = torch.cat([p.detach().flatten() for _, _, p in blocks])
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for _, _, p in blocks]
    g = torch.cat([grad.flatten() for grad in grads])
    zeros, alive = (w == 0).nonzero().flatten(), w.nonzero().flatten()
    rows = _shown(zeros, alive, w.abs(), g.abs())
    slopes = _slopes(blocks)
    order = torch.arange(min(REMOVED_ON, len(examples))) * len(examples) // REMOVED_ON
    some = (
        examples if len(examples) <= REMOVED_ON else Examples(examples.x[order], examples.y[order])
    )
    return WorthRecord(
        w=w[rows].tolist(),
        grad=g[rows].tolist(),
        slope=None if slopes is None else slopes[rows].tolist(),
        of=CountsRecord(zeros=len(zeros), survivors=len(alive)),
        survivors=_removals(model, plan, some, loss),
        removed_on=len(some),
    )


def _shown(zeros: Tensor, alive: Tensor, sizes: Tensor, slopes: Tensor) -> Tensor:
    """Zeros at even ranks of their slope, survivors of their size, and these' extreme slopes."""
    by_slope = alive[slopes[alive].argsort()]
    some = (
        zeros[_spread(slopes[zeros], SAMPLE // 2)],
        alive[_spread(sizes[alive], SAMPLE // 2)],
        by_slope[:1],
        by_slope[-1:],
    )
    return torch.tensor(sorted({int(k) for part in some for k in part}), dtype=torch.long)


def _slopes(blocks: Sequence[tuple[Entry, Penalty, nn.Parameter]]) -> Tensor | None:
    """|∂P/∂w| at every weight, at zeros its limit; None for groups, whose weights share theirs."""
    if any(entry.grouping.group_size > 1 for entry, _, _ in blocks):
        return None
    parts = [(penalty, parameter.detach()) for _, penalty, parameter in blocks]
    found = [
        torch.where(w == 0, penalty.slope, penalty.distance(w, torch.zeros_like(w)))
        for penalty, w in parts
    ]
    return torch.cat([slope.flatten() for slope in found])


@torch.no_grad()
def _removals(
    model: nn.Module, plan: Plan, examples: Examples, loss: Criterion
) -> list[RemovalRecord]:
    """For the largest survivors and as many of all sizes: loss rise and penalty saved at w → 0."""
    blocks = list(plan.blocks())
    flat = torch.cat([p.flatten() for _, _, p in blocks])
    alive = flat.nonzero().flatten()
    largest = alive[flat[alive].abs().argsort(descending=True)[: WORTH // 2]]
    others = alive[~torch.isin(alive, largest)]
    chosen = [*largest.tolist(), *others[_spread(flat[others], WORTH // 2)].tolist()]
    at = home(model)
    base = evaluate_forward(model, at, examples, loss).loss
    starts = [0, *accumulate(p.numel() for _, _, p in blocks)]
    result: list[RemovalRecord] = []
    for index in chosen:
        k = bisect_right(starts, index) - 1
        entry, penalty, parameter = blocks[k]
        without = parameter.detach().clone()
        without.view(-1)[index - starts[k]] = 0.0
        cut = partial(functional_call, model, {entry.path: without})
        view = entry.grouping.view
        saved = penalty.value(view(parameter.double())) - penalty.value(view(without.double()))
        rise = evaluate_forward(cut, at, examples, loss).loss - base
        result.append(RemovalRecord(w=flat[index].item(), rise=rise, saved=saved.item()))
    return result


def _spread(values: Tensor, count: int) -> Tensor:
    """Indices of ``count`` values at even ranks by size, the extremes among them."""
    order = values.argsort()
    if len(order) <= count:
        return order
    return order[torch.linspace(0, len(order) - 1, count).round().long()]
