"""contrast: fit every column, choose on validation, open the test set once, report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import polars as pl
from torch import nn

from shrinkage.analysis.answers import ask
from shrinkage.arguments import as_choice, check_type
from shrinkage.data.models import Factory
from shrinkage.errors import FitError, did_you_mean
from shrinkage.experiments.columns import Column, columns_named
from shrinkage.experiments.contrasts.budgets import BudgetName, sized
from shrinkage.experiments.contrasts.configuration import configuration
from shrinkage.experiments.contrasts.rehearsal import rehearse, rehearse_training
from shrinkage.experiments.contrasts.settings import Job, Setting
from shrinkage.experiments.contrasts.stages import Stages
from shrinkage.experiments.fitting import Loss, Train, Training
from shrinkage.experiments.paths import Staff, checked_grid, strengths, weakest_for
from shrinkage.experiments.paths.choice import Rule
from shrinkage.experiments.studies import (
    Finished,
    Start,
    check_options,
    device_named,
    jobs_on,
    opened,
    refuse_idle,
    subject,
    train_function,
)
from shrinkage.progress import Progress, shown
from shrinkage.reports import summary, table_text
from shrinkage.runs.questions import Rows


@dataclass(frozen=True, eq=False, repr=False)
class Contrast(Finished[Setting]):
    """A finished contrast: its run folder and the networks behind it."""

    def summary(self) -> list[dict[str, Any]]:
        """One row per column: chosen knob and its measures, mean and sd over seeds."""
        return summary(self.view)

    def predict(self, column: str, rows: Rows, seed: int = 0) -> pl.DataFrame:
        """What a column's network says to new rows: a file, a frame, or an array of numbers.

        As :meth:`PathPoint.predict` does.
        """
        seed = self.checked_seed(seed)
        return ask(self.setting.questions(seed), self.model(column, seed), rows)

    def model(self, column: str, seed: int = 0) -> nn.Module:
        """The trained network of a column's chosen try.

        Its inputs are standardised columns, and so is a regression's target, unless a loss or a
        training of your own took it: see :meth:`predict`.
        Raises :class:`FitError` for a column that has none, and a seed that was not run.
        """
        check_type("this names no column", column, str, expected="text, such as \"l1\"",
                   remedy="summary() says which there are.")  # fmt: skip
        choices = self.view.decided.choices or {}
        seed = self.checked_seed(seed)
        if column not in choices:
            raise FitError(
                "no such network",
                got=f"column {column!r}",
                expected=f"one of {', '.join(choices) or '(none)'}",
                remedy=did_you_mean(column, choices) + "summary() says which columns failed.",
            )
        chosen = choices[column]
        job = Job(column, chosen.index, chosen.knob, seed)
        model, _ = self.setting.network(self.setting.by_name[column], job.knob, seed)
        model.load_state_dict(self.view.weights(job.key))
        return model.eval()

    def __str__(self) -> str:
        return table_text(self.view)


def contrast(
    make_model: str | Factory | None,
    data: Any,
    *,
    weights: object = None,
    columns: Sequence[str | Column] | None = None,
    run: str | Path | None = None,
    budget: BudgetName = "normal",
    tries: int | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    point_epochs: int | None = None,
    batch_size: int | None = None,
    optimizer: Any = None,
    lr: float | None = None,
    loss: Loss | None = None,
    train: str | Train | None = None,
    train_size: int | None = None,
    validation: float = 0.2,
    test: float | None = None,
    grid: Sequence[float] | None = None,
    choose: Rule = "1se",
    biases: bool = False,
    norms: bool = False,
    rescale: bool = False,
    polish: int = 0,
    device: str = "cpu",
    jobs: int | None = None,
    engine: str = "auto",
    address: str | None = None,
    command: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Contrast:
    """Train the same network under several regularizers, and measure what each did.

    ``make_model``: a factory (no argument, or a spec with n_inputs, input_shape, n_outputs), a
    name, ``FILE.py:FACTORY``, or None for a default by data. ``data``: whatever
    :func:`shrinkage.data.from_user` takes. ``weights``: what every fit begins at instead of the
    factory's random weights: a trained network, its state dict, or a ``.safetensors`` file.
    ``train``: your own ``train(model, plan, budget)``, which makes its optimizer (``optimizer``,
    ``lr`` and ``batch_size`` are for ours). ``loss(prediction, y)``: a mean over examples. With a
    loss or a training of your own the targets arrive as given, in their own units and with all
    their columns; else those of a regression are standardised. Integer targets are labels, but
    numbers for PyTorch's losses of numbers; integer inputs that the network reads as ids (of an
    embedding) reach it as they are, int64. ``test``: the share of the rows kept for testing (0.2),
    unless the data bring a test part. Every column gets ``tries`` values of its knob (``grid``: the
    strengths), ``seeds`` seeds and the same epochs (``budget`` says how many where they are not
    given). ``point_epochs``: the tries of strengths and dropout become warm-started paths: the
    first has all epochs, and each one after it goes on from the network before it for so many;
    learning rates have no such order, and each of their tries has as many epochs as a path in all.
    Validation log-loss chooses (``"1se"``: the most regularized whose loss is at most the lowest
    plus its standard error over seeds; ``"best"``; ``"paired"``: as far as the paired difference to
    the best is within its standard error), then the test set is opened once. ``polish``: rounds of
    :func:`shrinkage.polish`, at most, after the training of every network with an exact penalty, on
    its training data. ``biases``, ``norms``, ``rescale``: as a :class:`Plan` takes them.
    ``device``: where networks and data lie meanwhile, such as ``"cuda"`` (runs repeat up to
    rounding). ``jobs``, ``engine``, ``address``: who works through the fits, as in
    :func:`shrinkage.path`. ``run`` is the folder that holds everything (by default a name of its
    own under ``runs/``); the same call continues what was interrupted. ``command``: the command
    line that stands behind the call, for the report's suggestions. ``progress`` takes
    :class:`Progress`; bars by default.

    Returns a :class:`Contrast`; ``str`` of it is the table. Raises the package's errors for bad
    input, each before anything is written, and :class:`FitError` where at the end no column has a
    try that worked in every seed (the run folder then tells what each fit came to).
    """
    rules, remedy = get_args(Rule), "1se is the default."
    as_choice("choose", choose, rules, expected=" or ".join(rules), remedy=remedy)
    check_options(run, command, progress)
    refuse_idle(train, {"optimizer": optimizer, "lr": lr, "batch_size": batch_size})
    where = device_named(device)
    staff = Staff(jobs_on(where, jobs), engine, address)
    about = subject(
        make_model, data, train_size=train_size, validation=validation, test=test,
        loss=loss, train=train,
    )  # fmt: skip
    n_train = about.n_train
    size = sized(budget, n_train, tries=tries, seeds=seeds, epochs=epochs, batch_size=batch_size)
    values = _grid(size.tries, tries, grid, weakest_for(n_train))
    training = Training(
        size.epochs, size.batch_size, "sgd" if optimizer is None else optimizer, lr, loss
    )
    setting = Setting(
        data=about.data,
        factory=about.factory,
        train=training if train is None else train_function(train),
        columns=columns_named(columns),
        strengths=values,
        seeds=size.seeds,
        epochs=size.epochs,
        cut=about.cut,
        loss=loss,
        start=Start.of(weights),
        device=where,
        biases=biases,
        norms=norms,
        rescale=rescale,
        polish=polish,
        point_epochs=point_epochs,
    )
    config = configuration(
        setting,
        rehearse(setting),
        training if train is None else None,
        choose,
        about.model,
    )
    with opened(run, config, lambda: rehearse_training(setting), command) as folder:
        with shown(progress) as show:
            Stages(setting, folder, choose, staff, show).run()
        return Contrast(folder.view(), setting)


def _grid(
    count: int, tries: int | None, grid: Sequence[float] | None, weakest: float
) -> tuple[float, ...]:
    """The strengths: ``grid``, or ``count`` of our own."""
    values = strengths(count, weakest) if grid is None else checked_grid(grid)
    if tries is not None and tries != len(values):
        raise FitError(
            "tries and strengths contradict each other",
            got=f"{tries} tries and {len(values)} strengths",
            expected="one of the two",
            remedy="Leave tries out: there is one per strength.",
        )
    return values
