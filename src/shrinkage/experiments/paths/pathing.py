"""path: the whole curve from the dense network to the empty one, and a reasoned choice."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

from torch import nn

from shrinkage.analysis.features import Stability
from shrinkage.analysis.measures.losses import as_module
from shrinkage.data.models import Factory
from shrinkage.errors import FitError, warn
from shrinkage.experiments.fitting import Loss, Train, Training
from shrinkage.experiments.paths.configuration import configuration
from shrinkage.experiments.paths.ends import is_affine, warn_of_single
from shrinkage.experiments.paths.engines import Staff
from shrinkage.experiments.paths.named import named
from shrinkage.experiments.paths.rehearsal import rehearse, rehearse_training
from shrinkage.experiments.paths.result import RegularizationPath
from shrinkage.experiments.paths.selection import Wanted
from shrinkage.experiments.paths.setting import Setting
from shrinkage.experiments.paths.stages import Stages
from shrinkage.experiments.paths.strengths import Grid
from shrinkage.experiments.studies import (
    Start,
    check_options,
    device_named,
    jobs_on,
    opened,
    refuse_idle,
    subject,
    train_function,
)
from shrinkage.penalties import Penalty
from shrinkage.plans import Rules
from shrinkage.plans.rules import Key
from shrinkage.progress import Progress, shown
from shrinkage.reports.paths import path_page
from shrinkage.runs import Run

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


def path(
    make_model: str | Factory | None,
    data: Any,
    penalty: str | Penalty | Mapping[Key, Penalty | None] | Rules,
    *,
    weights: object = None,
    run: str | Path | None = None,
    points: int = 25,
    weakest: float | None = None,
    strongest: float | None = None,
    refine: int = 4,
    choose: str | None = None,
    within: float | None = None,
    stability: int | Stability | None = None,
    refit: float | None = 0.0,
    magnitude: bool = True,
    shrink: bool = True,
    seeds: int | None = None,
    folds: int | None = None,
    epochs: int | None = None,
    point_epochs: float | None = None,
    rounds: int = 2,
    batch_size: int | None = None,
    optimizer: Any = None,
    lr: float | None = None,
    loss: Loss | None = None,
    train: str | Train | None = None,
    train_size: int | None = None,
    validation: float = 0.2,
    test: float | None = None,
    biases: bool = False,
    norms: bool = False,
    rescale: bool = False,
    device: str = "cpu",
    jobs: int | None = None,
    engine: str = "auto",
    address: str | None = None,
    command: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> RegularizationPath:
    """Fit a network under one penalty at every scale, each point from the one before, and choose.

    minimise mean loss + scale·Σ P(w) for ``points`` scales, log-spaced from ``weakest`` (leaves
    everything) to ``strongest`` (empties the network); ends that are not given are found on the
    data. ``penalty``: an instance such as ``L1(1.0)``, whose strength the scale multiplies, rules,
    or a name: ``"features"`` drops whole inputs (:func:`shrinkage.feature_rules`).
    ``make_model``, ``data``, ``weights``, ``loss``, ``train`` (``train(model, plan, budget)``) and
    the cut of the data are as in :func:`shrinkage.contrast`.

    A dense network is trained for ``epochs``. From there the path goes to sparser ones: every
    point trains for ``point_epochs`` (may be a part of one), up to ``rounds`` times until objective
    and support have settled. A network that is affine in its parameters, such as a linear model,
    has a convex cost: it is solved by :func:`shrinkage.polish` at each scale, from the empty model
    on, unless training of some kind is asked for. Where the score falls steeply, up to ``refine``
    points are added. ``refit``: at each point the support is fit once more under this factor of
    the penalty (0: none, the relaxed lasso); None leaves that out. ``magnitude``: beside a trained
    path, gradual magnitude pruning to the same numbers of weights in the same epochs. ``shrink``:
    points train a smaller network, from which units and inputs that nobody reads any more are cut
    out; results are those of the whole network whose lost weights are held at zero, and are stored
    in its coordinates. False trains all of it at every point.

    ``stability``: that many half samples of the first seed's training rows walk the same scales;
    the features that most of them use are stable (:class:`shrinkage.Stability`), and a network of
    these alone is fit and chosen, unless ``choose`` says otherwise, or none is stable: then one
    standard error chooses.

    ``seeds`` (3), or ``folds`` of a cross-validation, are chains of their own. ``choose``
    (``"1se"``, ``"best"``, ``"paired"``, ``"stable"``) or ``within`` choose on validation data, as
    :meth:`RegularizationPath.choose` does; then the test set is opened. ``run`` is the folder that
    holds everything; the same call goes on where it stopped.

    ``biases``, ``norms``, ``rescale``: as a :class:`Plan` takes them.

    ``device``: where networks and data lie while they are trained, such as ``"cuda"``. On a GPU
    runs repeat up to rounding; there is one job there unless more are asked for, because each has
    its own copy of the data.

    ``engine``: chains are worked through by ``jobs`` processes (``"process"``), or on a Ray cluster
    (``"ray"``; ``address``: ``"auto"``, ``"host:port"`` or ``"ray://host:port"``, without it one on
    this machine); ``"auto"`` takes Ray where there is an address. All give the same results.

    Returns a :class:`RegularizationPath`. Raises the package's errors for bad input before
    anything is written. Source: Friedman, Hastie & Tibshirani, Regularization Paths for
    Generalized Linear Models (2010), for warm starts and the grid; Meinshausen (2007), refit.
    """
    check_options(run, command, progress)
    halves = _halves(stability)
    wanted = _wanted(choose, within, halves)
    training_options = {"optimizer": optimizer, "lr": lr, "batch_size": batch_size}
    refuse_idle(train, training_options)
    where = device_named(device)
    staff = Staff(jobs_on(where, jobs), engine, address)
    about = subject(
        make_model, data, train_size=train_size, validation=validation, test=test, folds=folds,
        loss=loss, train=train,
    )  # fmt: skip
    spec, n_train = about.data.spec, about.n_train
    given = named(penalty, about.factory, spec) if isinstance(penalty, str) else penalty
    dense = min(_MOST_EPOCHS, max(2, round(_SEEN / n_train))) if epochs is None else epochs
    batch = (32 if n_train <= 5000 else 128) if batch_size is None else batch_size
    training = Training(dense, batch, "sgd" if optimizer is None else optimizer, lr, loss)
    setting = Setting(
        data=about.data,
        factory=about.factory,
        train=training if train is None else train_function(train),
        seeds=_chains(seeds, folds),
        epochs=training.epochs,
        cut=about.cut,
        loss=loss,
        start=Start.of(weights),
        device=where,
        rules=_rules(given, biases=biases, norms=norms, rescale=rescale),
        grid=Grid(points, weakest, strongest),
        refine=refine,
        point_epochs=_point_epochs(point_epochs, training.epochs, train),
        most_rounds=rounds,
        refit=refit,
        solver="train",
        magnitude=magnitude,
        shrink=shrink,
        stability=halves,
    )
    options = {**training_options, "train": train, "epochs": epochs, "point_epochs": point_epochs}
    asked = [name for name, value in options.items() if value is not None]
    exact = _solved_where_convex(setting, asked)
    setting = setting if asked else exact
    if setting.start is not None and setting.solver == "polish":
        warn("loss + penalty is convex and solved exactly: where it begins, weights=, is of no use")
    plan = rehearse(setting)
    ours = training if train is None else None
    config = configuration(setting, plan, ours, wanted, about.model)
    with opened(run, config, lambda: rehearse_training(setting), command) as folder:
        if exact.solver != setting.solver and folder.view().decided.exact_without is None:
            folder.decide(exact_without=asked)
        with shown(progress) as show:
            Stages(setting, folder, wanted, staff, show, _write_report).run()
        return RegularizationPath(folder.view(), setting)


def _write_report(run: Run) -> None:
    run.write("report.html", path_page(run.view()))


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


def _rules(
    penalty: Penalty | Mapping[Key, Penalty | None] | Rules,
    *,
    biases: bool,
    norms: bool,
    rescale: bool,
) -> Rules:
    given = penalty if isinstance(penalty, Rules) else Rules(penalty)
    return given.including(biases=biases, norms=norms, rescale=rescale)


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


def _solved_where_convex(setting: Setting, asked: list[str]) -> Setting:
    """The same setting, solved by polish where loss + penalty is convex in the parameters."""
    x = setting.data.first(8).to(setting.device)
    if not _is_convex(setting.loss) or setting.rules.convex != setting.rules:
        return setting
    if is_affine(setting.build(0), x):
        return replace(setting, solver="polish", magnitude=False)
    if not asked:
        warn_of_single(setting.build(0), x)
    return setting


def _is_convex(loss: Loss | None) -> bool:
    if loss is None:
        return True
    module = as_module(loss)
    of_rates = isinstance(module, nn.PoissonNLLLoss) and not module.log_input
    return isinstance(module, _CONVEX_LOSSES) and not of_rates
