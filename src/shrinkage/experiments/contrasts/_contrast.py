"""contrast: fit every column, choose on validation, open the test set once, report."""

from dataclasses import dataclass
from typing import Any, get_args

import polars as pl
from torch import nn

from shrinkage.analysis.answers import ask
from shrinkage.arguments import as_choice, check_type, takes
from shrinkage.errors import FitError, did_you_mean
from shrinkage.experiments.columns import columns_named
from shrinkage.experiments.contrasts.budgets import ContrastSize, sized
from shrinkage.experiments.contrasts.configuration import configuration
from shrinkage.experiments.contrasts.rehearsal import rehearse, rehearse_training
from shrinkage.experiments.contrasts.settings import ContrastSetting, TrialJob
from shrinkage.experiments.contrasts.stages import ContrastStages
from shrinkage.experiments.fit import Training
from shrinkage.experiments.options import ContrastOptions
from shrinkage.experiments.paths import checked_grid, strengths, weakest_for
from shrinkage.experiments.paths.choice import ChoiceRule
from shrinkage.experiments.runner import Staff
from shrinkage.experiments.studies import (
    Cut,
    Finished,
    Start,
    Subject,
    check_options,
    device_named,
    opened,
    refuse_idle,
    subject,
    train_function,
)
from shrinkage.progress import shown
from shrinkage.reports import summary, table_text
from shrinkage.runs.questions import Rows


@dataclass(frozen=True, eq=False, repr=False)
class Contrast(Finished[ContrastSetting]):
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
        job = TrialJob(column, chosen.index, chosen.knob, seed)
        model, _ = self.setting.network(self.setting.by_name[column], job.knob, seed)
        model.load_state_dict(self.view.weights(job.key))
        return model.eval()

    def __str__(self) -> str:
        return table_text(self.view)


@takes(ContrastOptions)
def contrast(options: ContrastOptions) -> Contrast:
    """Train the same network under several regularizers, and measure what each did.

    Every column gets ``tries`` values of its knob (``grid``: the strengths), ``seeds`` seeds and
    the same epochs; ``budget`` says how many where they are not given. Validation log-loss chooses,
    then the test set is opened once. The run folder holds everything; the same call goes on where
    it stopped.

    Returns
    -------
    Contrast
        What each column chose and what it came to; ``str`` of it is the table.

    Raises
    ------
    ShrinkageError
        For bad input, one of the package's errors, before anything is written.
    FitError
        Where at the end no column has a try that worked in every seed; the run folder then tells
        what each fit came to.
    """
    rules, remedy = get_args(ChoiceRule), "1se is the default."
    rule = options.choose
    as_choice("choose", rule, rules, expected=" or ".join(rules), remedy=remedy)
    check_options(options)
    refuse_idle(options)
    staff = Staff.of(options)
    cut = Cut(options.train_size, options.validation, options.test)
    about = subject(options.make_model, options.data, cut, loss=options.loss, train=options.train)
    size = sized(options, about.n_train)
    training = _training(options, size)
    setting = _setting(options, about, training, size)
    ours = training if options.train is None else None
    config = configuration(setting, rehearse(setting), ours, rule, about.model)
    with opened(options, config, lambda: rehearse_training(setting)) as folder:
        with shown(options.progress) as show:
            ContrastStages(setting, folder, rule, staff, show).run()
        return Contrast(folder.view(), setting)


def _training(options: ContrastOptions, size: ContrastSize) -> Training:
    """Our own training."""
    optimizer = "sgd" if options.optimizer is None else options.optimizer
    return Training(size.epochs, size.batch_size, optimizer, options.lr, options.loss)


def _setting(
    options: ContrastOptions, about: Subject, training: Training, size: ContrastSize
) -> ContrastSetting:
    """What the options come to for these data."""
    train = options.train
    return ContrastSetting(
        data=about.data,
        factory=about.factory,
        train=training if train is None else train_function(train),
        columns=columns_named(options.columns),
        strengths=_grid(size.tries, options, weakest_for(about.n_train)),
        seeds=size.seeds,
        epochs=size.epochs,
        cut=about.cut,
        loss=options.loss,
        start=Start.of(options.weights),
        device=device_named(options.device),
        biases=options.biases,
        norms=options.norms,
        rescale=options.rescale,
        polish=options.polish,
        point_epochs=options.point_epochs,
    )


def _grid(count: int, options: ContrastOptions, weakest: float) -> tuple[float, ...]:
    """The strengths that are given, or ``count`` of our own."""
    grid, tries = options.grid, options.tries
    values = strengths(count, weakest) if grid is None else checked_grid(grid)
    if tries is not None and tries != len(values):
        raise FitError(
            "tries and strengths contradict each other",
            got=f"{tries} tries and {len(values)} strengths",
            expected="one of the two",
            remedy="Leave tries out: there is one per strength.",
        )
    return values
