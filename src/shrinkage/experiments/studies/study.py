"""What all fits of a run have in common: the data and their cut, the network, the training."""

import os
import warnings
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from shrinkage.analysis.measures import checked_loss, is_probability, of_logits, of_numbers, settled
from shrinkage.analysis.measures.losses import Loss, as_module
from shrinkage.arguments import as_int, check_function, check_type, plain, settle
from shrinkage.data import Data, Spec, Split, split
from shrinkage.data.models import Factory, build, check_new
from shrinkage.data.outputs import check_output, warn_of_logits, warn_of_probabilities
from shrinkage.data.user_code import load_object
from shrinkage.errors import FitError, ModelError, ShrinkageWarning, shown, warn
from shrinkage.experiments.fit import Train, Training
from shrinkage.experiments.options import TrainingOptions
from shrinkage.experiments.studies.start import Start
from shrinkage.plans import Plan, Rules
from shrinkage.runs import ParameterConfig, describe, fingerprint
from shrinkage.runs.questions import Questions

_MOST_SEEDS = 10_000
_SEEDS = f"a whole number ≥ 1, at most {_MOST_SEEDS:,}"

_ENTROPIES = (type(None), nn.CrossEntropyLoss, nn.NLLLoss)
"""Losses of which the network's outputs tell whether it is made for them; None: ours."""

_SPLITS: "WeakKeyDictionary[Study, tuple[int, Split]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Cut:
    """How the data are cut: see :func:`shrinkage.data.split`."""

    train_size: int | None = None
    validation: float = 0.2
    test: float | None = None
    folds: int | None = None

    def __post_init__(self) -> None:
        settle(self, **{name: plain(value) for name, value in vars(self).items()})


@dataclass(frozen=True, eq=False, kw_only=True)
class Study:
    """Data, factory, training: the same for every fit, all of them on one ``device``.

    ``start``: the weights that networks begin at; None: those that the factory draws.

    Raises :class:`FitError` for seeds and epochs below 1.
    """

    data: Data
    factory: Factory
    train: Train
    seeds: int
    epochs: int
    cut: Cut = Cut()
    loss: Loss | None = None
    start: Start | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        settle(
            self,
            seeds=as_int("seeds", self.seeds, least=1, most=_MOST_SEEDS, expected=_SEEDS),
            epochs=as_int("epochs", self.epochs, least=1),
        )
        if self.loss is not None:
            checked_loss(self.loss)
        check_classes(self.loss, self.data)

    @property
    def is_own(self) -> bool:
        """Whether a loss or a training of the user's own takes the targets: then as given."""
        return self.loss is not None or not isinstance(self.train, Training)

    @property
    def spec(self) -> Spec:
        """The data's; a loss of yes or no takes one output for two classes."""
        spec = self.data.spec
        one = of_logits(self.loss) and len(self.data.classes) == 2
        return replace(spec, n_outputs=1) if one else spec

    @property
    def middle(self) -> float:
        """The output between two classes that have one output: ½ of a probability, or 0."""
        return 0.5 if is_probability(self.loss) else 0.0

    def split(self, seed: int) -> Split:
        """Training and validation parts of a seed; the test part is the same for all.

        The parts of the last seed are held, because cutting copies the data.
        """
        held = _SPLITS.get(self)
        if held is None or held[0] != seed:
            held = _SPLITS[self] = (seed, self._cut(seed))
        return held[1]

    def _cut(self, seed: int) -> Split:
        return split(self.data, seed, **vars(self.cut), as_given=self.is_own).to(self.device)

    def build(self, seed: int, *, dropout: float | None = None) -> nn.Module:
        """A new network with this seed's random weights, checked against the data.

        They are drawn where the factory makes it, so that they are the same on every device.
        """
        torch.manual_seed(seed)
        model = build(self.factory, self.spec, dropout=dropout)
        check_new(self.factory, model)
        if self.start is not None:
            self.start.load_into(model)
        model = model.to(self.device)
        ids = not self.data.x.is_floating_point()
        check_output(model, self.spec, self.data.task, ids=ids, free=self.loss is not None)
        return model

    def check_loss(self, model: nn.Module) -> None:
        """See what a loss of the user's own says of outputs and targets, and warn of no mean."""
        if self.loss is None:
            return
        rows = self.split(0).train
        if not settled(self.loss, model, rows).is_mean and isinstance(self.train, Training):
            size = self.train.batch_size
            if size < len(rows):
                warn(
                    "the loss of a batch is no mean over its examples: it is measured on all of "
                    f"them at once, and trained on batches of {size}, which minimise something "
                    f"else; batch_size={len(rows)} trains on all at once",
                )

    def warn_of_probabilities(self, model: nn.Module) -> None:
        """Warn (:class:`ShrinkageWarning`) of outputs that a cross-entropy would take amiss."""
        loss = None if self.loss is None else as_module(self.loss)
        if self.data.task == "regression" or not isinstance(loss, _ENTROPIES):
            return
        ids, free = not self.data.x.is_floating_point(), loss is not None
        outputs = check_output(model, self.spec, self.data.task, ids=ids, free=free)
        if outputs.ndim == 2:  # the loss refuses others
            (warn_of_logits if isinstance(loss, nn.NLLLoss) else warn_of_probabilities)(outputs)

    @property
    def example(self) -> Tensor:
        """Two inputs, for plans with coupled groups."""
        return self.data.first(2).to(self.device)

    def questions(self, seed: int) -> Questions:
        """How new rows are put to this seed's networks."""
        shares = self.data.task == "classification" and self.loss is None
        return Questions.of(self.data, self.split(seed), shares=shares, middle=self.middle)

    def describe(self, model: object, training: Training | None) -> dict[str, Any]:
        """The study as plain JSON values; ``training``: ours, or None for the user's own."""
        data = self.data
        return {
            "data": {
                "name": data.name,
                "fingerprint": data.fingerprint,
                "task": data.task,
                "examples": len(data.x),
                "classes": list(data.classes),
                "columns": list(data.columns),
                "features": list(data.features),
            },
            "spec": asdict(self.spec),
            **({"targets": "as given"} if self.is_own and data.task == "regression" else {}),
            **({"middle": self.middle} if self.middle else {}),
            "model": {"name": describe(model), "fingerprint": fingerprint(self.factory)},
            **({} if self.start is None else {"weights": self.start.checksum}),
            "training": {"name": "your own", "fingerprint": fingerprint(self.train)}
            if training is None
            else {
                **_told(training),
                "optimizer": describe(training.optimizer),
                "fingerprint": fingerprint(training.optimizer),
                "loss": None if training.loss is None else describe(training.loss),
            },
            "loss": None if self.loss is None else fingerprint(self.loss),
            "seeds": self.seeds,
            "epochs": self.epochs,
            "cut": asdict(self.cut),
            **({} if self.device.type == "cpu" else {"device": self.device.type}),
        }


def _told(training: Training) -> dict[str, Any]:
    """Its fields; a ``warmup`` where there is one, which earlier runs did not know."""
    told = {field.name: getattr(training, field.name) for field in fields(training)}
    return told if training.warmup else {k: v for k, v in told.items() if k != "warmup"}


def check_classes(loss: Loss | None, data: Data) -> None:
    """Raise :class:`FitError` where a loss of PyTorch cannot take the numbers of the classes.

    It takes quantities, or it ignores a label, and labels are numbered otherwise than it counts.
    """
    if data.task != "classification":
        return
    if of_numbers(loss):
        raise FitError(
            "the loss takes numbers, and the data have classes",
            got=f"{describe(loss)} for {len(data.classes)} classes",
            expected="targets that are numbers",
            remedy="Pass the targets as floats; of a table, "
            "shrinkage.data.load(…, task='regression').",
        )
    ignored = None if loss is None else getattr(as_module(loss), "ignore_index", None)
    numbered = all(name.lstrip("-").isdecimal() for name in data.classes)
    if type(ignored) is not int or not numbered:
        return
    names = dict(enumerate(data.classes))
    if names.get(ignored, str(ignored)) != str(ignored) or (
        ignored not in names and str(ignored) in data.classes
    ):
        raise FitError(
            "the label that the loss ignores is not numbered as the loss counts",
            got=f"ignore_index={ignored} for the labels {', '.join(data.classes[:6])}",
            expected="labels 0 to k−1, which keep their numbers",
            remedy=f"Leave rows of the ignored label out (keep = y != {ignored}), "
            "and number the others from 0.",
        )


def device_named(name: str | torch.device) -> torch.device:
    """The device; :class:`FitError` where this machine's PyTorch cannot compute on it."""
    remedy, kinds = "Leave it out to train on the CPU.", (str, torch.device)
    check_type("the device is no name", name, kinds, expected="cpu, cuda, mps …", remedy=remedy)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # which "meta" cannot
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:
        raise FitError(
            "the device cannot be used",
            got=shown(name),
            expected="cpu, or cuda, cuda:1, mps where this machine and this PyTorch have one",
            remedy="Leave it out to train on the CPU.",
        ) from error
    return device


def quiet_plan(model: nn.Module, rules: Rules, example: Tensor | None = None) -> Plan:
    """A plan without its warnings, which were shown once before.

    ``example``: inputs for coupled groups.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShrinkageWarning)
        return Plan(model, rules, example_inputs=example)


def describe_plan(plan: Plan) -> list[ParameterConfig]:
    """The plan's table."""
    acting = {entry.path for entry in plan.penalised}
    return [
        ParameterConfig(
            name=e.name,
            path=e.path,
            shape=e.shape,
            role=e.role.value,
            penalised=e.path in acting,
            reason=e.reason,
        )
        for e in plan.entries
    ]


def train_function(train: str | Train) -> Train:
    """The user's training function, or what ``FILE.py:FUNCTION`` names."""
    if isinstance(train, str):
        return load_object(train)
    check_function(
        "train",
        train,
        takes=3,
        expected="train(model, plan, budget)",
        remedy="Leave it out for our own training.",
        error=ModelError,
    )
    return train


def refuse_idle(options: TrainingOptions) -> None:
    """Refuse options that would be parsed and ignored beside the user's training function."""
    ours = ("optimizer", "lr", "batch_size")
    idle = [name for name in ours if getattr(options, name) is not None]
    if options.train is not None and idle:
        raise FitError(
            f"{idle[0]} has no meaning beside a training function of your own",
            got=f"{idle[0]}={shown(getattr(options, idle[0]))}",
            expected="your function to make its optimizer and its batches",
            remedy=f"Leave {idle[0]} out, or train out.",
        )


def jobs_on(device: torch.device, jobs: int | None) -> int | None:
    """``jobs``, or 1 on a GPU, where each process has its own copy of everything."""
    return 1 if jobs is None and device.type != "cpu" else jobs


def workers(jobs: int | None) -> int:
    """The number of worker processes: one per core unless given."""
    if jobs is None:
        return os.cpu_count() or 1
    expected, remedy = "a number of worker processes ≥ 1", "Leave it out for one per core."
    return as_int("jobs", jobs, least=1, expected=expected, remedy=remedy)
