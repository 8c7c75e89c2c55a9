"""demo and contrast: several penalties side by side."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rich.console import Console

from shrinkage.cli.app import app
from shrinkage.cli.data import loaded
from shrinkage.cli.options import typed
from shrinkage.cli.words import command, stoppable
from shrinkage.experiments.options import (
    ContrastOptions,
    ReadingOptions,
    RunOptions,
    SizeOptions,
    WorkerOptions,
)

if TYPE_CHECKING:
    from shrinkage.experiments.contrasts import Contrast

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
_FILE_WIDTH = 140
"""Columns of text where the output goes to a file: no ellipses in it."""


@app.command()
@typed
def demo(size: SizeOptions, workers: WorkerOptions, run: RunOptions) -> None:
    """The lesson on real images: 200 digits, a small CNN, biases penalised too.

    Trains none, L1 as loss term, exact L1, L2, elastic net, group L1, dropout and magnitude
    pruning side by side, and writes a report. A few minutes on two cores.
    """
    from shrinkage.experiments.contrasts import contrast

    seeds = _DEMO_SEEDS if size.seeds is None else size.seeds
    options = {**_DEMO, "seeds": seeds, "tries": size.tries}
    grid = _DEMO_STRENGTHS if size.tries is None else None
    line = _demo_command({**options, "strengths": grid})
    given = {**vars(workers), **vars(replace(run, command=line)), **options}
    with stoppable():
        result = contrast("cnn", "digits", grid=grid, biases=True, **given)
    _show(result)


@app.command("contrast")
@typed
def contrast_command(options: ContrastOptions, reading: ReadingOptions) -> None:
    """Train one network under several regularizers, side by side, and write a report.

    Columns: none, l1_term (L1 in the loss), l1 (exact), l2, elastic_net, group_l1, dropout,
    magnitude (pruning). Each column gets the same tries, seeds and epochs; validation data
    choose its λ; the test set is opened once, after the choice.
    Try: shrinkage contrast breast_cancer --budget quick
    """
    from shrinkage.experiments.contrasts import contrast

    with stoppable():
        data = loaded(options.data, reading)
        line = command(sys.argv[1:], options.data)
        result = contrast(**vars(replace(options, data=data, command=line)))
    _show(result)


def _show(result: "Contrast") -> None:
    from shrinkage.reports import table

    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _FILE_WIDTH)
    console.print(table(result.view))
    console.print(f"\nReport: {result.report.resolve()}\nRun folder: {result.folder}")


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
