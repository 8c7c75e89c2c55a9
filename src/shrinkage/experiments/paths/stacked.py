"""Half samples whose chains are walked together: small networks in one batched computation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from time import process_time

from torch import nn

from shrinkage.data import Examples
from shrinkage.experiments.fit import DivergedError, Training, look
from shrinkage.experiments.paths.points import Rest, begun, copied, round_seed, settled, used_inputs
from shrinkage.experiments.paths.setting import PathSetting, PointJob
from shrinkage.experiments.paths.subsamples import HalfSample, HalfSampleLine, Walk, walk
from shrinkage.experiments.runner import Weights
from shrinkage.experiments.stacks import is_stackable, train_together
from shrinkage.plans import Plan
from shrinkage.runs import HalfSampleRecord

SIZE = 8
"""Networks in a stack, at most: more gain little (docs/features.md), and leave cores idle."""
_PAYS = 0.8
"""The share of the time of one by one below which a stack is worth it."""
_STEPS = 20


@dataclass(frozen=True)
class Walks:
    """The chains of some half samples over the same scales, walked side by side."""

    numbers: tuple[int, ...]
    scales: tuple[float, ...]


def in_stacks(numbers: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """The numbers in as few runs of at most ``size`` as there can be, of nearly equal lengths."""
    count = -(-len(numbers) // size)
    ends = [len(numbers) * k // count for k in range(count + 1)]
    return [tuple(numbers[a:b]) for a, b in pairwise(ends)]


def stack_size(setting: PathSetting) -> int:
    """How many half samples to walk together: :data:`SIZE` where that is measured to be faster.

    1 (one by one) where it is not, or the networks cannot be trained together.
    """
    half, training = HalfSample.of(setting, 0), setting.train
    if not setting.ascending or not isinstance(training, Training):
        return 1
    rows = half.split(0).train
    if not is_stackable(*half.network(0, 1.0), training, rows):
        return 1
    alone, together = (_seconds(half, training, rows, count) for count in (1, SIZE))
    return SIZE if together < _PAYS * SIZE * alone else 1


def _seconds(half: HalfSample, training: Training, rows: Examples, count: int) -> float:
    """The shortest of three measurements of a few steps of ``count`` networks.

    In this process's own time: whoever else uses the core has no say.
    """
    epochs = _STEPS / rows.n_batches(training.batch_size)
    times = []
    for _ in range(3):
        networks = [half.network(seed, 1.0) for seed in range(count)]
        models, plan = [model for model, _ in networks], networks[0][1]
        began = process_time()
        train_together(
            models, plan, training, [rows] * count,
            epochs=epochs, seeds=range(count), warm=True,
        )  # fmt: skip
        times.append(process_time() - began)
    return min(times)


def walk_together(setting: PathSetting, job: Walks) -> list[HalfSampleLine]:
    """What ``subsamples.walk`` gives for each half sample, but for rounding.

    Where one of them diverges, all are walked one by one: what is not a number would spread.
    """
    if len(job.numbers) > 1:
        try:
            return _walked(setting, job)
        except DivergedError:
            pass
    return [walk(setting, Walk(number, job.scales)) for number in job.numbers]


def _walked(setting: PathSetting, job: Walks) -> list[HalfSampleLine]:
    chains = [_Chain.of(setting, number) for number in job.numbers]
    for scale in (0.0, *job.scales):
        going = [chain for chain in chains if not chain.is_empty]
        if going:
            _fit(going, scale)
        if scale:
            for chain in chains:
                chain.inputs.append(chain.used() if chain in going else [])
    return [
        HalfSampleRecord(
            key=Walk(chain.number, job.scales).key, scales=job.scales, inputs=chain.inputs
        )
        for chain in chains
    ]


@dataclass(eq=False)
class _Chain:
    """One half sample on its way: its network at the last scale, and the inputs used so far."""

    number: int
    half: HalfSample
    rows: Examples
    start: Weights | None = None
    loss: float | None = None
    model: nn.Module = field(default_factory=nn.Identity)
    is_empty: bool = False  # and stays so: its chain has ended
    inputs: list[list[int]] = field(default_factory=list)

    @classmethod
    def of(cls, setting: PathSetting, number: int) -> "_Chain":
        """A chain that has not begun."""
        half = HalfSample.of(setting, number)
        return cls(number, half, half.split(number).train)

    def used(self) -> list[int]:
        """The inputs that the network uses."""
        return used_inputs(self.half, self.model, self.number) or []


@dataclass(eq=False)
class _Moving:
    """A chain between two scales: the plan at the new one, and what was seen of the network."""

    chain: _Chain
    job: PointJob
    plan: Plan
    rest: Rest | None = None
    is_settled: bool = False

    def begin(self) -> None:
        """See the warm network under the new scale."""
        chain = self.chain
        self.rest = begun(chain.half, self.job, chain.model, self.plan, {"train": chain.rows})

    def look(self) -> None:
        """See what training has made of the network, and whether it has settled."""
        chain, before = self.chain, self.rest
        last = look(chain.model, self.plan, {"train": chain.rows}, chain.half.loss, 0)
        chain.loss, self.rest = last.parts["train"].loss, Rest.of(last)
        if not isfinite(chain.loss):
            raise DivergedError(
                "training diverged",
                got="a loss that is not finite",
                expected="a finite loss after the last epoch",
                remedy="Lower the learning rate (--lr).",
            )
        self.is_settled = before is not None and settled(before, self.rest)


def _fit(chains: Sequence[_Chain], scale: float) -> None:
    """Bring every chain to the next scale, as ``points.fit_point`` does."""
    half, moving = chains[0].half, [_moved(chain, scale) for chain in chains]
    if not scale:
        _train(moving, [each.job.seed for each in moving], half.epochs, warm=False)
    else:
        _settle(moving, half.most_rounds, half.point_epochs)
    for each in moving:
        each.chain.start = copied(each.chain.model)
        each.chain.is_empty = each.rest is not None and not each.rest.nonzeros


def _moved(chain: _Chain, scale: float) -> _Moving:
    job = PointJob(chain.number, scale, chain.start, chain.loss)
    chain.model, plan = chain.half.network(chain.number, scale)
    if job.start is not None:
        chain.model.load_state_dict(dict(job.start))
    return _Moving(chain, job, plan)


def _settle(moving: Sequence[_Moving], most_rounds: int, epochs: float) -> None:
    for each in moving:
        each.begin()
    for number in range(most_rounds):
        left = [each for each in moving if not each.is_settled]
        if left:
            _train(left, [round_seed(each.job, number) for each in left], epochs, warm=True)


def _train(moving: Sequence[_Moving], seeds: Sequence[int], epochs: float, *, warm: bool) -> None:
    training = moving[0].chain.half.train
    assert isinstance(training, Training)  # noqa: S101  (stack_size)
    train_together(
        [each.chain.model for each in moving],
        moving[0].plan,
        training,
        [each.chain.rows for each in moving],
        epochs=epochs,
        seeds=seeds,
        warm=warm,
    )
    for each in moving:
        each.look()
