"""path: the whole curve from the dense network to the empty one, and a reasoned choice."""

from dataclasses import replace
from math import ceil

from torch import nn

from shrinkage.analysis.features import Stability
from shrinkage.analysis.measures.losses import Loss, as_module
from shrinkage.arguments import takes
from shrinkage.errors import FitError, warn
from shrinkage.experiments.fit import Training
from shrinkage.experiments.options import PathOptions
from shrinkage.experiments.paths.configuration import configuration
from shrinkage.experiments.paths.ends import is_affine, warn_of_single
from shrinkage.experiments.paths.named import named
from shrinkage.experiments.paths.rehearsal import rehearse, rehearse_training
from shrinkage.experiments.paths.result import RegularizationPath
from shrinkage.experiments.paths.selection import Wanted
from shrinkage.experiments.paths.setting import PathSetting
from shrinkage.experiments.paths.stages import PathStages
from shrinkage.experiments.paths.strengths import Grid
from shrinkage.experiments.runner import Staff
from shrinkage.experiments.studies import (
    Cut,
    Start,
    Subject,
    check_options,
    device_named,
    opened,
    refuse_idle,
    subject,
    train_function,
)
from shrinkage.plans import Rules
from shrinkage.progress import shown

_SEEN, _MOST_EPOCHS = 300_000, 50
"""Examples that pass by in a dense fit, and epochs at most."""
_PARTS = 25
"""A point of the path has this part of the dense fit's epochs."""
_CONVEX_LOSSES = (
    nn.CrossEntropyLoss,
    nn.MSELoss,
    nn.BCEWithLogitsLoss,
    nn.PoissonNLLLoss,
    nn.HuberLoss,
    nn.SmoothL1Loss,
    nn.SoftMarginLoss,
)
"""In the outputs, and with a gradient everywhere."""


@takes(PathOptions)
def path(options: PathOptions) -> RegularizationPath:
    """Fit a network under one penalty at every scale, each point from the one before, and choose.

    Minimises mean loss + scale·Σ P(w) for a number of scales, log-spaced from the weakest (leaves
    everything) to the strongest (empties the network); ends that are not given are found on the
    data.

    A dense network is trained. From there the path goes to sparser ones: every point trains for
    ``point_epochs``, up to ``rounds`` times until objective and support have settled. A network
    that is affine in its parameters, such as a linear model, has a convex cost: it is solved by
    :func:`shrinkage.polish` at each scale, from the empty model on, unless training of some kind is
    asked for.

    Validation data choose, as :meth:`RegularizationPath.choose` does; then the test set is opened.
    The run folder holds everything; the same call goes on where it stopped.

    Returns
    -------
    RegularizationPath

    Raises
    ------
    ShrinkageError
        For bad input, before anything is written.

    References
    ----------
    Friedman, Hastie & Tibshirani, Regularization Paths for Generalized Linear Models (2010), for
    warm starts and the grid; Meinshausen, Relaxed Lasso (2007), for the refit.
    """
    check_options(options)
    halves = _halves(options.stability)
    wanted = _wanted(options.choose, options.within, halves)
    refuse_idle(options)
    staff = Staff.of(options)
    cut = Cut(options.train_size, options.validation, options.test, options.folds)
    about = subject(options.make_model, options.data, cut, loss=options.loss, train=options.train)
    training = _training(options, about.n_train)
    setting = _setting(options, about, training, halves)
    setting, without = _solved(setting, _asked(options))
    ours = training if options.train is None else None
    config = configuration(setting, rehearse(setting), ours, wanted, about.model)
    with opened(options, config, lambda: rehearse_training(setting)) as folder:
        if without and folder.view().decided.exact_without is None:
            folder.decide(exact_without=without)
        with shown(options.progress) as show:
            PathStages(setting, folder, wanted, staff, show).run()
        return RegularizationPath(folder.view(), setting)


def _asked(options: PathOptions) -> list[str]:
    """The options that ask for training of some kind."""
    of_training = ("optimizer", "lr", "batch_size", "train", "epochs", "point_epochs")
    return [name for name in of_training if getattr(options, name) is not None]


def _training(options: PathOptions, n_train: int) -> Training:
    """Our own training, in as many epochs as the data ask for where none are given."""
    epochs, batch = options.epochs, options.batch_size
    return Training(
        min(_MOST_EPOCHS, max(2, round(_SEEN / n_train))) if epochs is None else epochs,
        (32 if n_train <= 5000 else 128) if batch is None else batch,
        "sgd" if options.optimizer is None else options.optimizer,
        options.lr,
        options.loss,
    )


def _setting(
    options: PathOptions, about: Subject, training: Training, halves: Stability | None
) -> PathSetting:
    """What the options come to for these data, to be trained."""
    train = options.train
    return PathSetting(
        data=about.data,
        factory=about.factory,
        train=training if train is None else train_function(train),
        seeds=_chains(options.seeds, options.folds),
        epochs=training.epochs,
        cut=about.cut,
        loss=options.loss,
        start=Start.of(options.weights),
        device=device_named(options.device),
        rules=_rules(options, about),
        grid=Grid(options.points, options.weakest, options.strongest),
        refine=options.refine,
        point_epochs=_point_epochs(options.point_epochs, training.epochs, train),
        most_rounds=options.rounds,
        refit=options.refit,
        solver="train",
        magnitude=options.magnitude,
        shrink=options.shrink,
        stability=halves,
    )


def _wanted(choose: str | None, within: float | None, halves: Stability | None) -> Wanted:
    """What the run chooses: the stable features where half samples are walked, else by 1se."""
    if within is not None:
        return Wanted(within=within) if choose is None else Wanted(choose, within)
    wanted = Wanted(("1se" if halves is None else "stable") if choose is None else choose)
    if wanted.rule == "stable" and halves is None:
        raise FitError(
            "stable features are not known",
            got='choose="stable" without half samples',
            expected="a number of half samples",
            remedy="Pass stability=50 (--stability 50).",
        )
    return wanted


def _halves(stability: int | Stability | None) -> Stability | None:
    if stability is None or isinstance(stability, Stability):
        return stability
    return Stability(stability)


def _rules(options: PathOptions, about: Subject) -> Rules:
    penalty = options.penalty
    if isinstance(penalty, str):
        penalty = named(penalty, about.factory, about.data.spec)
    given = penalty if isinstance(penalty, Rules) else Rules(penalty)
    return given.including(biases=options.biases, norms=options.norms, rescale=options.rescale)


def _chains(seeds: int | None, folds: int | None) -> int:
    if seeds is not None and folds is not None:
        raise FitError(
            "seeds and folds contradict each other",
            got=f"{seeds} seeds and {folds} folds",
            expected="one of the two",
            remedy="Folds are seeds whose validation parts do not overlap.",
        )
    if folds is not None:
        return folds
    return 3 if seeds is None else seeds


def _point_epochs(given: float | None, dense: int, train: object) -> float:
    """A part of the dense fit; whole epochs for a user's own function, which may count them."""
    if given is not None:
        return given
    part = dense / _PARTS
    return float(f"{part:.1g}") if train is None else ceil(part)


def _solved(setting: PathSetting, asked: list[str]) -> tuple[PathSetting, list[str]]:
    """Solved by polish where loss + penalty is convex, unless training of some kind is asked for.

    Also the options without which it would have been.
    """
    if not _is_convex(setting.loss) or setting.rules.convex != setting.rules:
        return setting, []
    network, x = setting.build(0), setting.data.first(8).to(setting.device)
    if not is_affine(network, x):
        if not asked:
            warn_of_single(network, x)
        return setting, []
    if asked:
        return setting, asked
    if setting.start is not None:
        warn("loss + penalty is convex and solved exactly: where it begins, weights=, is of no use")
    return replace(setting, solver="polish", magnitude=False), []


def _is_convex(loss: Loss | None) -> bool:
    if loss is None:
        return True
    module = as_module(loss)
    of_rates = isinstance(module, nn.PoissonNLLLoss) and not module.log_input
    return isinstance(module, _CONVEX_LOSSES) and not of_rates
