"""From a run folder to files: compact the chosen network, prove, measure, export, compare."""

from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from shrinkage.analysis.measures import evaluate
from shrinkage.arguments import as_int, takes
from shrinkage.compression._compact import Compact, compact
from shrinkage.compression.chosen import ChosenNetwork, chosen, words
from shrinkage.compression.decision import narrowed
from shrinkage.compression.exports import onnx_outputs
from shrinkage.compression.options import CompactOptions
from shrinkage.data import Data, Examples, load, split
from shrinkage.data.models import MODELS, Factory, build, resolve
from shrinkage.errors import CompactionError, DataError
from shrinkage.runs import RunView, fingerprint, read
from shrinkage.runs.questions import Questions

_EXAMPLES = 64
_NAMED = 12
_ASK = "\nNew rows: shrinkage predict {} NEW.csv"


@dataclass(frozen=True, eq=False)
class CompactedRun:
    """What :func:`compact_run` made: the files, the network, and how it does on the test set.

    ``scores``: accuracy (or R²) before and after, None where only a loss of the user's own, which
    the run does not hold, could tell; ``same`` and ``same_onnx``: how many of the
    ``n_test`` test examples get the same prediction as before; None without the ONNX packages.
    ``inputs``: how many there are, and the names or places of those left, if unused ones were to
    be dropped. ``of_table``: whether it can be asked about new rows of a table.
    """

    folder: Path
    chosen: ChosenNetwork
    compact: Compact
    score_name: str
    scores: tuple[float, float] | None
    same: int
    same_onnx: int | None
    n_test: int
    inputs: tuple[int, list[str]] | None = None
    of_table: bool = False

    def __str__(self) -> str:
        scores = ""
        if self.scores is not None:
            before, after = self.scores
            scores = f"test {self.score_name} {before:.4f} → {after:.4f}; "
        onnx = (
            "no ONNX file: pip install 'shrinkage[onnx]'"
            if self.same_onnx is None
            else f"ONNX {self.same_onnx:,}"
        )
        return (
            f"{self.chosen.label}\n\n{self.compact.report}\n\n"
            f"{scores}the same prediction for "
            f"{self.same:,} of {self.n_test:,} test examples, {onnx}\n"
            f"{self._told_inputs()}Files: {self.folder}"
            + (_ASK.format(self.folder) if self.of_table else "")
        )

    def _told_inputs(self) -> str:
        if self.inputs is None:
            return ""
        count, left = self.inputs
        if len(left) == count:
            return f"All {count} inputs are read: none was dropped\n"
        some = ", ".join(left[:_NAMED]) + (", …" if len(left) > _NAMED else "")
        return f"It takes {len(left)} of {count} inputs (all in compact.json): {some}\n"


@takes(CompactOptions)
def compact_run(options: CompactOptions) -> CompactedRun:
    """Compact the network that a run has chosen, and write it into ``RUN/compact-COLUMN-SEED``.

    Weights (safetensors), ``model.pt2``, ``model.onnx`` and ``compact.json`` (with names of classes
    and columns, how those became inputs, and what these and a regression target were scaled by).
    Model and data are taken from the run's command line where they are not given. Linear layers are
    measured as CSR at ``batch``.

    Returns
    -------
    Outcome
        The files, the network, and how it does on the test set.

    Raises
    ------
    RunError
        For a folder without a run.
    CompactionError
        Where the network cannot be compacted; the errors of data and models besides.
    """
    batch = as_int("batch", options.batch, least=1, error=CompactionError,
                   remedy="Leave it out for 128.")  # fmt: skip
    view = read(options.folder)
    seed, study = options.seed, view.study
    which = chosen(view, options.column, seed, options.point)
    source = _data(view, options.data, options.target)
    spec = replace(source.spec, n_outputs=study.spec.n_outputs)
    network = build(_factory(view, options.model), spec)
    _load(network, which)
    parts = split(source, seed, **vars(study.cut), as_given=study.targets is not None)
    test = parts.test
    small = compact(network, test.x[:_EXAMPLES], drop_inputs=options.drop_inputs, sparse=batch,
                    batch_sizes=(1, batch))  # fmt: skip
    where = _folder(options, view, which.column, small)
    questions = Questions.of(source, parts, shares=study.loss is None, middle=study.middle)
    kept = list(map(str, source.columns or range(spec.n_inputs)))
    if small.inputs is not None:
        questions = questions.of_inputs(small.inputs.tolist())
        kept = [kept[k] for k in small.inputs.tolist()]
    about: dict[str, Any] = {"model": study.model.name, "run": view.folder.name}
    about |= {"spec": asdict(spec), "classes": list(source.classes)}
    about |= {"columns": kept} if source.columns else {}
    small.save(where, network=which.label, **about, questions=questions.as_json())
    left = Examples(narrowed((test.x,), small.inputs)[0], test.y)
    predictions = _export(small, where, left.x)
    own = study.loss is not None
    outcome = _outcome(where, which, (network, test), (small, left), predictions, own=own)
    left_over = (spec.n_inputs, kept) if options.drop_inputs else None
    return replace(outcome, inputs=left_over, of_table=bool(source.columns))


def _folder(options: CompactOptions, view: RunView, column: str, small: Compact) -> Path:
    """Where the files go: of a network with fewer inputs beside that with all of them."""
    if options.out is not None:
        return Path(options.out)
    inputs = "" if small.inputs is None else "-inputs"
    return view.folder / f"compact-{column}-{options.seed}{inputs}"


def _export(small: Compact, where: Path, x: Tensor) -> Tensor | None:
    """Write the programs; the outputs of the ONNX one, None without its packages."""
    for stale in ("model.pt2", "model.onnx"):
        (where / stale).unlink(missing_ok=True)  # it may be of another network
    small.export(where / "model.pt2")
    if not all(map(find_spec, ("onnx", "onnxruntime", "onnxscript"))):
        return None
    return onnx_outputs(small.onnx(where / "model.onnx"), x)


def _outcome(
    where: Path,
    which: ChosenNetwork,
    before: tuple[nn.Module, Examples],
    after: tuple[Compact, Examples],
    predictions: Tensor | None,
    *,
    own: bool,
) -> CompactedRun:
    (network, test), (small, left) = before, after
    with torch.no_grad():
        old, new = network(test.x), small.model(left.x)
    name, scores = "", None
    if not own or _has_classes(old, test):
        first, second = evaluate(network, test), evaluate(small.model, left)
        name, scores = first.score_name, (first.score, second.score)
    return CompactedRun(
        where,
        which,
        small,
        name,
        scores,
        _agreement(old, new, test),
        None if predictions is None else _agreement(old, predictions, test),
        len(test),
    )


def _has_classes(outputs: Tensor, test: Examples) -> bool:
    """Whether the largest output is a class."""
    return not test.y.is_floating_point() and outputs.ndim == 2 and outputs.shape[1] > 1


def _agreement(a: Tensor, b: Tensor, test: Examples) -> int:
    """How many predictions are the same: the class, or the number up to 1e-4 of the largest."""
    if _has_classes(a, test):
        return int((a.argmax(1) == b.argmax(1)).sum())
    near = (a - b).abs() <= 1e-4 * a.abs().max()
    return int(near.flatten(1).all(dim=1).sum())


def _data(view: RunView, data: str | None, target: str | None) -> Data:
    known = words(view)
    size = known.get("image-size")
    source = load(
        data or known.get("data") or view.study.data.name,
        target=target or known.get("target"),
        task=cast("Any", known.get("task")),
        missing=cast("Any", known.get("missing")),
        image_size=None if size is None else int(size),
    )
    if source.fingerprint != view.study.data.fingerprint:
        raise DataError(
            "these are not the data of the run",
            got=f"{source.name} with other content",
            expected=f"the data behind {view.folder}",
            remedy="Give them with --data (and --target).",
        )
    return source


def _factory(view: RunView, model: str | None) -> Factory:
    """The factory of the run: equal weights in another network would be another function."""
    known = view.study.model
    name = model or words(view).get("model") or known.name
    if name not in MODELS and not (model or ":" in name):
        raise CompactionError(
            "the run's factory is known by its name alone",
            got=repr(name),
            expected="a run whose network has a name of ours, or its factory",
            remedy="Give it with --model FILE.py:FACTORY; in Python: sh.compact(model, inputs).",
        )
    factory = resolve(name)
    if fingerprint(factory) != known.fingerprint:
        raise CompactionError(
            "this is not the network of the run",
            got=f"{name} with other content",
            expected=f"the factory behind {view.folder}, {known.name}, as it was then",
            remedy="Give it with --model FILE.py:FACTORY; in Python: sh.compact(model, inputs).",
        )
    return factory


def _load(network: nn.Module, point: ChosenNetwork) -> None:
    try:
        network.load_state_dict(dict(point.weights))
    except RuntimeError as error:
        raise CompactionError(
            "the weights of the run do not fit the network",
            got=str(error).splitlines()[-1].strip(),
            expected="the network that the run has trained",
            remedy="Give its factory: --model FILE.py:FACTORY.",
        ) from error
    network.eval()
