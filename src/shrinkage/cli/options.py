"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str,
    typer.Argument(
        help="digits, breast_cancer, wine, diabetes, FILE.npz, FILE.csv, FILE.parquet, "
        "a folder of images (one folder per class), or openml:NAME."
    ),
]
Target = Annotated[str | None, typer.Option(help="The column to predict, for CSV and Parquet.")]
Task = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="classification|regression",
        help="What the target of a table is. [default: by its values]",
    ),
]
Missing = Annotated[
    str | None,
    typer.Option(
        "--missing",
        metavar="drop|fill",
        help="Missing values of a table: leave those rows out, or fill them in (numbers: the mean "
        "of the training part, and an input that says where). [default: an error]",
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(help="Resize the images of a folder to this many pixels a side, at most 4096."),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="linear, mlp, cnn, lenet-300-100, lenet-5, or FILE.py:FACTORY. "
        "[default: cnn for images, mlp for tables]"
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="A .safetensors file of a trained network: every fit goes on from these weights."
    ),
]
Train = Annotated[
    str | None,
    typer.Option(help="Your own training: FILE.py:FUNCTION, called as f(model, plan, budget)."),
]
Optimizer = Annotated[str | None, typer.Option(help="sgd, adam or adamw. [default: sgd]")]
Rate = Annotated[float | None, typer.Option(help="Learning rate. [default: by optimizer]")]
BatchSize = Annotated[int | None, typer.Option(help="Examples per step.")]
TrainSize = Annotated[int | None, typer.Option(help="Train on this many examples only.")]
Validation = Annotated[
    float, typer.Option(help="Share of what is not test data, kept for choosing.")
]
Seeds = Annotated[int | None, typer.Option(help="Seeds; every column gets the same.")]
Tries = Annotated[
    int | None, typer.Option(help="Strengths (or learning rates, or dropout p) tried per column.")
]
Epochs = Annotated[int | None, typer.Option(help="Epochs of every fit.")]
Biases = Annotated[bool, typer.Option("--biases", help="Penalise biases too.")]
Norms = Annotated[bool, typer.Option("--norms", help="Penalise normalisation layers too.")]
Rescale = Annotated[
    bool,
    typer.Option("--rescale", help="Weights before a normalisation layer keep their norms."),
]
Run = Annotated[
    Path | None,
    typer.Option(help="Run folder. The same command on it goes on where it stopped."),
]
Device = Annotated[str, typer.Option(help="Where to train: cpu, or cuda where there is a GPU.")]
Jobs = Annotated[
    int | None, typer.Option(help="Worker processes. [default: one per core, 1 on a GPU]")
]
Engine = Annotated[
    str, typer.Option(metavar="auto|process|ray", help="Who works through the fits.")
]
Address = Annotated[
    str | None, typer.Option(help="A Ray cluster: auto or HOST:PORT. Needs the extra ray.")
]
