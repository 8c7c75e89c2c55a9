"""The command line: parse, call, print."""

import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console

from shrinkage.errors import ShrinkageError, ShrinkageWarning

if TYPE_CHECKING:
    from shrinkage.contrasts import Contrast
    from shrinkage.contrasts.budgets import BudgetName
    from shrinkage.paths import RegularizationPath
    from shrinkage.paths.choice import Rule

_DEMO_SEEDS = 5
_DEMO_STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2)
_DEMO: Mapping[str, Any] = MappingProxyType(
    {
        "train_size": 200,
        "validation": 0.4,
        "test": 0.3,
        "epochs": 50,
        "batch_size": 16,
        "lr": 0.06,
    }
)
"""Settled on validation data of other seeds; see ARCHITECTURE.md, Decisions."""
_MOST_FEATURES = 20
"""Rows of the table of features."""
_FILE_WIDTH = 140
"""Columns of text where the output goes to a file: no ellipses in it."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="L1 / L2 regularization for PyTorch networks that does what it says.",
)

_Seeds = Annotated[int | None, typer.Option(help="Seeds; every column gets the same.")]
_Tries = Annotated[
    int | None, typer.Option(help="Strengths (or learning rates, or dropout p) tried per column.")
]
_Epochs = Annotated[int | None, typer.Option(help="Epochs of every fit.")]
_Run = Annotated[
    Path | None,
    typer.Option(help="Run folder. The same command on it goes on where it stopped."),
]
_Jobs = Annotated[int | None, typer.Option(help="Worker processes. [default: one per core]")]


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"shrinkage {version('shrinkage')}")
        raise typer.Exit


@app.callback()
def _options(
    show: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """L1 / L2 regularization for PyTorch networks that does what it says."""


@app.command()
def demo(run: _Run = None, seeds: _Seeds = None, tries: _Tries = None, jobs: _Jobs = None) -> None:
    """The lesson on real images: 200 digits, a small CNN, biases penalised too.

    Trains none, L1 as loss term, exact L1, L2, elastic net, group L1, dropout and magnitude
    pruning side by side, and writes a report. A few minutes on two cores.
    """
    from shrinkage.contrasts import contrast

    options = {**_DEMO, "seeds": _DEMO_SEEDS if seeds is None else seeds}
    grid = _DEMO_STRENGTHS if tries is None else None
    with _stoppable():
        result = contrast(
            "cnn",
            "digits",
            run=run,
            tries=tries,
            jobs=jobs,
            grid=grid,
            biases=True,
            command=_demo_command({**options, "tries": tries, "strengths": grid}),
            **options,
        )
    _show(result)


@app.command("contrast")
def contrast_command(
    data: Annotated[
        str,
        typer.Argument(
            help="digits, breast_cancer, wine, diabetes, FILE.npz, FILE.csv, FILE.parquet, "
            "a folder of images (one folder per class), or openml:NAME."
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="linear, mlp, cnn, lenet-300-100, lenet-5, or FILE.py:FACTORY. "
            "[default: cnn for images, mlp for tables]"
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The column to predict, for CSV and Parquet.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Resize the images of a folder to this many pixels.")
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(help="Your own training: FILE.py:FUNCTION, called as f(model, plan, budget)."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Some of none,l1_term,l1,l2,elastic_net,group_l1,dropout,magnitude. [default: all]"
        ),
    ] = None,
    strengths: Annotated[
        str | None, typer.Option(help="The λ to try, e.g. 1e-4,1e-3,1e-2. [default: by --tries]")
    ] = None,
    budget: Annotated[
        str, typer.Option(help="quick (3 tries, 1 seed), normal (5, 3) or thorough (9, 5).")
    ] = "normal",
    tries: _Tries = None,
    seeds: _Seeds = None,
    epochs: _Epochs = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples per step.")] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, adam or adamw. [default: sgd]")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate. [default: by optimizer]")] = None,
    train_size: Annotated[
        int | None, typer.Option(help="Train on this many examples only.")
    ] = None,
    validation: Annotated[
        float, typer.Option(help="Share of what is not test data, kept for choosing.")
    ] = 0.2,
    test: Annotated[
        float | None,
        typer.Option(
            help="Share of all data, kept for the last number; not for data that bring a test "
            "part. [default: 0.2]"
        ),
    ] = None,
    choose: Annotated[
        str,
        typer.Option(
            metavar="1se|best", help="1se: most regularized within one standard error; or best."
        ),
    ] = "1se",
    biases: Annotated[bool, typer.Option("--biases", help="Penalise biases too.")] = False,
    norms: Annotated[
        bool, typer.Option("--norms", help="Penalise normalisation layers too.")
    ] = False,
    polish: Annotated[
        int,
        typer.Option(
            help="Rounds of polish, at most, after training under an exact penalty: nearer to "
            "stationary, and several times the time. 100 go far."
        ),
    ] = 0,
    run: _Run = None,
    jobs: _Jobs = None,
) -> None:
    """Train one network under several regularizers, side by side, and write a report.

    Columns: none, l1_term (L1 in the loss), l1 (exact), l2, elastic_net, group_l1, dropout,
    magnitude (pruning). Each column gets the same tries, seeds and epochs; validation data
    choose its λ; the test set is opened once, after the choice.
    Try: shrinkage contrast breast_cancer --budget quick
    """
    from shrinkage.contrasts import contrast
    from shrinkage.data import load

    with _stoppable():
        result = contrast(
            model,
            load(data, target=target, image_size=image_size),
            columns=None if columns is None else _listed(columns),
            run=run,
            budget=cast("BudgetName", budget),
            tries=tries,
            seeds=seeds,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=lr,
            train=train,
            train_size=train_size,
            validation=validation,
            test=test,
            grid=None if strengths is None else _numbers("--strengths", strengths),
            choose=cast("Rule", choose),
            biases=biases,
            norms=norms,
            polish=polish,
            jobs=jobs,
            command=_command(sys.argv[1:]),
        )
    _show(result)


@app.command("compact")
def compact_command(
    run: Annotated[Path, typer.Argument(help="A run folder, such as contrast writes.")],
    column: Annotated[
        str | None, typer.Option(help="Column of a contrast. [default: group_l1, else l1]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which of the run's seeds.")] = 0,
    model: Annotated[
        str | None, typer.Option(help="Name or FILE.py:FACTORY. [default: the run's own]")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Data. [default: the run's own]")] = None,
    target: Annotated[str | None, typer.Option(help="Target column. [default: the run's]")] = None,
    batch: Annotated[
        int, typer.Option(min=1, help="Batch size that latency is measured for, beside 1.")
    ] = 128,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files. [default: RUN/compact-COLUMN-SEED]")
    ] = None,
) -> None:
    """Turn a run's zeros into a smaller network, proven equal: safetensors, torch.export, ONNX.

    Dead units are cut out with everything that must vanish with them. Outputs and gradients are
    compared before and after, latency is measured, the test set is predicted by both.
    Try: shrinkage contrast digits --columns group_l1 --run runs/a && shrinkage compact runs/a
    """
    from shrinkage.compaction import compact_run

    typer.echo(
        compact_run(
            run, column=column, seed=seed, model=model, data=data, target=target, batch=batch,
            out=out,
        )
    )  # fmt: skip


@app.command("path")
def path_command(
    data: Annotated[
        str,
        typer.Argument(
            help="digits, breast_cancer, wine, diabetes, FILE.npz, FILE.csv, FILE.parquet, "
            "a folder of images (one folder per class), or openml:NAME."
        ),
    ],
    penalty: Annotated[
        str,
        typer.Option(
            help="l1, features (whole inputs), group, coupled_group, sparse_group, elastic_net, "
            "log_sum, mcp or l2."
        ),
    ] = "l1",
    model: Annotated[
        str | None,
        typer.Option(
            help="linear, mlp, cnn, lenet-300-100, lenet-5, or FILE.py:FACTORY. "
            "[default: cnn for images, mlp for tables]"
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The column to predict, for CSV and Parquet.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Resize the images of a folder to this many pixels.")
    ] = None,
    points: Annotated[int, typer.Option(help="Points of the path.")] = 30,
    weakest: Annotated[
        float | None, typer.Option("--from", help="The weakest λ. [default: found on the data]")
    ] = None,
    strongest: Annotated[
        float | None, typer.Option("--to", help="The strongest λ. [default: found on the data]")
    ] = None,
    choose: Annotated[
        str | None,
        typer.Option(
            metavar="1se|best|stable",
            help="1se: sparsest within one standard error; best; or the stable features. "
            "[default: 1se, with --stability stable]",
        ),
    ] = None,
    stability: Annotated[
        int | None,
        typer.Option(help="Half samples (e.g. 50) that tell which features are stable."),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(help="Instead: fewest weights whose score is within this of the best."),
    ] = None,
    refit: Annotated[
        bool, typer.Option(help="Fit each support once more without the penalty.")
    ] = True,
    magnitude: Annotated[
        bool, typer.Option(help="Magnitude pruning to the same numbers of weights beside it.")
    ] = True,
    seeds: Annotated[int | None, typer.Option(help="Seeds. [default: 3]")] = None,
    folds: Annotated[int | None, typer.Option(help="Folds of a cross-validation instead.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the dense network.")] = None,
    point_epochs: Annotated[
        float | None, typer.Option(help="Epochs of each point; may be a part of one.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Trainings of a point until it has settled.")] = 2,
    batch_size: Annotated[int | None, typer.Option(help="Examples per step.")] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, adam or adamw. [default: sgd]")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate. [default: by optimizer]")] = None,
    train: Annotated[
        str | None,
        typer.Option(help="Your own training: FILE.py:FUNCTION, called as f(model, plan, budget)."),
    ] = None,
    train_size: Annotated[
        int | None, typer.Option(help="Train on this many examples only.")
    ] = None,
    validation: Annotated[
        float, typer.Option(help="Share of what is not test data, kept for choosing.")
    ] = 0.2,
    test: Annotated[
        float | None,
        typer.Option(help="Share of all data, kept for the last number. [default: 0.2]"),
    ] = None,
    biases: Annotated[bool, typer.Option("--biases", help="Penalise biases too.")] = False,
    norms: Annotated[
        bool, typer.Option("--norms", help="Penalise normalisation layers too.")
    ] = False,
    run: _Run = None,
    jobs: _Jobs = None,
    engine: Annotated[
        str,
        typer.Option(metavar="auto|process|ray", help="Who works through seeds or folds."),
    ] = "auto",
    address: Annotated[
        str | None,
        typer.Option(help="A Ray cluster: auto or HOST:PORT. Needs the extra ray."),
    ] = None,
) -> None:
    """Fit the network at every strength, from dense to empty, and choose one with a reason.

    Each point starts from the one before, so that the whole curve costs little more than one
    training. Linear models are solved exactly. Validation data choose; the test set is opened
    once, after the choice. Killed or interrupted, the same command goes on.
    Try: shrinkage path digits --penalty group
    """
    from shrinkage.data import load
    from shrinkage.paths import path
    from shrinkage.paths.named import FEATURES

    with _stoppable():
        result = path(
            model,
            load(data, target=target, image_size=image_size),
            penalty,
            run=run,
            points=points,
            weakest=weakest,
            strongest=strongest,
            choose=choose,
            within=within,
            stability=stability,
            refit=0.0 if refit else None,
            magnitude=magnitude,
            seeds=seeds,
            folds=folds,
            epochs=epochs,
            point_epochs=point_epochs,
            rounds=rounds,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=lr,
            train=train,
            train_size=train_size,
            validation=validation,
            test=test,
            biases=biases,
            norms=norms,
            jobs=jobs,
            engine=engine,
            address=address,
            command=_command(sys.argv[1:]),
        )
    typer.echo(f"{result}\n\nChosen: {result.chosen}\n")
    if stability is not None or penalty == FEATURES:
        _show_features(result)
    typer.echo(f"Report: {result.report.resolve()}\nRun folder: {result.folder}")


@app.command("explore")
def explore_command(
    data: Annotated[
        str,
        typer.Argument(
            help="digits, breast_cancer, wine, diabetes, FILE.npz, FILE.csv, FILE.parquet, "
            "a folder of images (one folder per class), or openml:NAME."
        ),
    ] = "digits",
    model: Annotated[
        str | None,
        typer.Option(
            help="linear, mlp, cnn, lenet-300-100, lenet-5, or FILE.py:FACTORY. "
            "[default: cnn for images, mlp for tables]"
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The column to predict, for CSV and Parquet.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Resize the images of a folder to this many pixels.")
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            help="One to four of none,l1_term,l1,l2,elastic_net,group_l1,dropout; "
            "the page can change them."
        ),
    ] = "none,l1_term,l1,l2",
    optimizer: Annotated[str | None, typer.Option(help="sgd or adam. [default: sgd]")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate. [default: by optimizer]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples per step.")] = None,
    train_size: Annotated[
        int | None, typer.Option(help="Train on this many examples only.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches and label noise.")] = None,
    biases: Annotated[bool, typer.Option("--biases", help="Penalise biases too.")] = False,
    settings: Annotated[
        str | None, typer.Option(help="A link copied from the page: its settings come back.")
    ] = None,
    port: Annotated[
        int, typer.Option(help="Any that is free unless given.", show_default=False)
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address and open nothing.")
    ] = False,
) -> None:
    """Turn λ while one to four networks train side by side, on a page of this machine.

    Watch weights reach exact zero and come back, click one to learn why, or take the guided tour
    through the lesson. The address holds a token; Ctrl-C ends the page. Needs the extra:
    pip install 'shrinkage\\[explore]'
    """
    from shrinkage.data import load
    from shrinkage.explorer import explore

    explore(
        model,
        load(data, target=target, image_size=image_size),
        columns=_listed(columns),
        optimizer=optimizer,
        lr=lr,
        batch_size=batch_size,
        train_size=train_size,
        seed=seed,
        biases=biases or None,
        settings=settings,
        port=port,
        browser=not no_browser,
        source=_command_data(data, target, image_size),
        say=_tell,
    )


def main() -> None:
    """Run the command; bad input is one line on the error stream and exit code 2."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            app()
        except ShrinkageError as error:
            _say(f"[bold red]error:[/] {_escaped(str(error))}")
            sys.exit(2)


@contextmanager
def _stoppable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _say("Stopped. Finished fits are kept: the same command goes on from there.")
        raise typer.Exit(130) from None


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: object = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    label = "note" if issubclass(category, ShrinkageWarning) else category.__name__
    _say(f"[bold yellow]{label}:[/] {_escaped(str(message))}")


def _say(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(text)


def _show(result: "Contrast") -> None:
    from shrinkage.reports import table

    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _FILE_WIDTH)
    console.print(table(result.view))
    console.print(f"\nReport: {result.report.resolve()}\nRun folder: {result.folder}")


def _tell(text: str) -> None:
    typer.echo(text)


def _command_data(data: str, target: str | None, image_size: int | None) -> str:
    """Data and what is needed to read them, as they are typed."""
    words = [data]
    words += [] if target is None else ["--target", target]
    words += [] if image_size is None else ["--image-size", str(image_size)]
    return shlex.join(words)


def _show_features(result: "RegularizationPath") -> None:
    """The table of features, the surest on top, and what the stable ones rest on."""
    import polars as pl

    table = result.features()
    with pl.Config(tbl_rows=_MOST_FEATURES, tbl_hide_dataframe_shape=True):
        typer.echo(f"{table.head(_MOST_FEATURES)}")
    if len(table) > _MOST_FEATURES:
        typer.echo(f"and {len(table) - _MOST_FEATURES} more features")
    typer.echo("" if result.stable is None else f"\n{result.stable}\n")


def _demo_command(options: Mapping[str, Any]) -> str:
    """The demo with these options as a contrast: what to type for a variation of it."""
    words = " ".join(
        f"--{name.replace('_', '-')} {_written(value)}"
        for name, value in options.items()
        if value is not None
    )
    return f"shrinkage contrast digits --model cnn --biases {words}"


def _written(value: Any) -> str:
    """A value as it is typed: numbers, or several with commas between them."""
    return ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


def _command(arguments: list[str]) -> str:
    """The command line without run folder and workers: what decides the figures."""
    elsewhere = ("--run", "--jobs", "--engine", "--address")
    words = [w for w in arguments if not w.startswith(tuple(f"{o}=" for o in elsewhere))]
    for option in elsewhere:
        while option in words:
            at = words.index(option)
            del words[at : at + 2]
    return shlex.join(["shrinkage", *words])


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(option: str, text: str) -> list[float]:
    from shrinkage.errors import FitError

    try:
        return [float(part) for part in _listed(text)]
    except ValueError:
        raise FitError(
            f"{option} is not a list of numbers",
            got=repr(text),
            expected="numbers with commas between them",
            remedy="For instance 1e-4,1e-3,1e-2.",
        ) from None


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(" ".join(text.split()))
