"""Options that several commands have in common, by what they are about."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from shrinkage.arguments import Option, Options, Typed
from shrinkage.progress import Progress

if TYPE_CHECKING:
    from shrinkage.analysis.measures.losses import Loss
    from shrinkage.data.models import Factory
    from shrinkage.experiments.fit import Train

MODEL = Typed(
    "linear, mlp, cnn, lenet-300-100, lenet-5, or FILE.py:FACTORY.",
    absent="cnn for images, mlp for tables",
    python="Or a factory: a function without arguments, or one that takes a spec with n_inputs, "
    "input_shape and n_outputs, and makes a new network. None: by the data.",
    flag="--model",
    kind=str | None,
    default=None,
)
DATA = Typed(
    "digits, breast_cancer, wine, diabetes, FILE.npz, FILE.csv, FILE.parquet, "
    "a folder of images (one folder per class), or openml:NAME.",
    python="Or what shrinkage.data.from_user takes: (X, y), a frame with its target, a Dataset, a "
    "loader. Integer targets are labels, but numbers for PyTorch's losses of numbers; integer "
    "inputs that the network reads as ids (of an embedding) reach it as they are, int64.",
    kind=str,
    argument=True,
)
WEIGHTS = Typed(
    "A .safetensors file of a trained network: every fit goes on from these weights.",
    python="Or the network, or its state dict.",
    kind=Path | None,
)
VALIDATION = Typed("Share of what is not test data, kept for choosing.")


@dataclass(frozen=True)
class SubjectOptions(Options):
    """The network, the data, and how these are cut."""

    panel: ClassVar[str] = "Network and data"

    make_model: Annotated["str | Factory | None", MODEL]
    data: Annotated[Any, DATA]
    _: KW_ONLY
    weights: Annotated[object, WEIGHTS] = None
    train_size: Annotated[int | None, Typed("Train on this many examples only.", absent="all")] = (
        None
    )
    validation: Annotated[float, VALIDATION] = 0.2
    test: Annotated[
        float | None,
        Typed(
            "Share of all data, kept for the last number; not for data that bring a test part.",
            absent="0.2",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class StepOptions(Options):
    """How our own training takes its steps."""

    panel: ClassVar[str] = "Training"

    optimizer: Annotated[
        Any,
        Typed(
            "sgd, adam or adamw.",
            absent="sgd",
            python="Or a function (parameters, lr) → optimizer.",
            kind=str | None,
        ),
    ] = None
    lr: Annotated[float | None, Typed("Learning rate.", absent="by optimizer")] = None
    batch_size: Annotated[
        int | None, Typed("Examples per step.", absent="by the size of the data")
    ] = None
    loss: Annotated[
        "Loss | None",
        Option(
            "loss(prediction, y), a mean over examples. With a loss or a training of your own the "
            "targets arrive as given, in their own units and with all their columns; else those "
            "of a regression are standardised."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(StepOptions):
    """How networks are trained: by us, or by a function of the user's own."""

    epochs: Annotated[int | None, Typed("Epochs of every fit.", absent="by the budget")] = None
    train: Annotated[
        "str | Train | None",
        Typed(
            "Your own training: FILE.py:FUNCTION, called as f(model, plan, budget).",
            python="Or the function. It makes its optimizer: optimizer, lr and batch_size are for "
            "ours.",
            kind=str | None,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ReachOptions(Options):
    """What a penalty acts on besides weights, as :class:`shrinkage.Plan` takes it."""

    panel: ClassVar[str] = "What is penalised"

    biases: Annotated[bool, Typed("Penalise biases too.", flag="--biases")] = False
    norms: Annotated[bool, Typed("Penalise normalisation layers too.", flag="--norms")] = False
    rescale: Annotated[
        bool, Typed("Weights before a normalisation layer keep their norms.", flag="--rescale")
    ] = False


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(Options):
    """Who works through the fits, and where."""

    panel: ClassVar[str] = "Workers"

    device: Annotated[
        str,
        Typed(
            "Where to train: cpu, or cuda where there is a GPU.",
            python="On a GPU runs repeat up to rounding, and there is one job unless more are "
            "asked for, because each has its own copy of the data.",
        ),
    ] = "cpu"
    jobs: Annotated[int | None, Typed("Worker processes.", absent="one per core, 1 on a GPU")] = (
        None
    )
    engine: Annotated[
        str,
        Typed(
            "Who works through the fits; auto takes Ray where there is an address. All give the "
            "same results.",
            metavar="auto|process|ray",
        ),
    ] = "auto"
    address: Annotated[
        str | None,
        Typed(
            "A Ray cluster: auto or HOST:PORT. Needs the extra ray.",
            python='Or "ray://host:port". None with the engine ray: a cluster on this machine.',
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """The run folder, and what is told meanwhile."""

    panel: ClassVar[str] = "Run"

    run: Annotated[
        str | Path | None,
        Typed(
            "Run folder. The same command on it goes on where it stopped.",
            absent="a new one under runs/",
            kind=Path | None,
        ),
    ] = None
    command: Annotated[
        str | None,
        Option("The command line that stands behind the call, for the report's suggestions."),
    ] = None
    progress: Annotated[
        Callable[[Progress], None] | None,
        Option("Takes a Progress after each piece of work. None: bars."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class ReadingOptions(Options):
    """How data that are named on the command line are read, as :func:`shrinkage.data.load` does."""

    panel: ClassVar[str] = SubjectOptions.panel

    target: Annotated[str | None, Typed("The column to predict, for CSV and Parquet.")] = None
    task: Annotated[
        Any,
        Typed(
            "What the target of a table is.",
            absent="by its values",
            kind=str | None,
            metavar="classification|regression",
        ),
    ] = None
    missing: Annotated[
        Any,
        Typed(
            "Missing values of a table: leave those rows out, or fill them in (numbers: the mean "
            "of the training part, and an input that says where).",
            absent="an error",
            kind=str | None,
            metavar="drop|fill",
        ),
    ] = None
    image_size: Annotated[
        int | None,
        Typed("Resize the images of a folder to this many pixels a side, at most 4096."),
    ] = None
