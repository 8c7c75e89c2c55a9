"""How the run was made, and what to try next: commands that can be pasted."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil

from shrinkage.lesson.estimates import Difference
from shrinkage.reports.commands import retyped
from shrinkage.reports.facts import Facts
from shrinkage.reports.sections.base import Section
from shrinkage.reports.summary import edges
from shrinkage.reports.words import listed, num, percent, strength
from shrinkage.runs import (
    ColumnConfig,
    ContrastConfig,
    FailedFitRecord,
    RunView,
    StudyConfig,
    TestRecord,
    TrainingConfig,
)
from shrinkage.runs.checksums import parse_record
from shrinkage.runs.knobs import knob

_SEEDS = 5
"""Suggested where there are fewer than three."""


def making(facts: Facts) -> Section:
    """From run.json, nothing else."""
    config = facts.config
    rows = {
        **studied(config, facts.tests),
        "training": training_words(config.training, epochs_of(config)),
        "seeds": f"{facts.seeds}, from 0; a seed draws the cut"
        + (", the first weights" if config.weights is None else "")
        + " and the order",
        "tries": "; ".join(_knobs(column) for column in facts.columns.values()) + _warm(config),
        "choice": _choice(config.choose),
        "failed fits": failures(facts.failed),
        "not applicable": _inapplicable(facts),
        "versions": versions(facts.view),
    }
    return described(rows)


def described(rows: Mapping[str, str]) -> Section:
    """How a run was made: terms with what is said of each; those without are left out."""
    items = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in rows.items() if text
    )
    return Section("making", "How this was made", html=f"<dl>{items}</dl>")


def studied(config: StudyConfig, tests: Mapping[str, TestRecord]) -> dict[str, str]:
    """Data, cut and network; the weights that every fit begins at, where the user gave them."""
    data, given = config.data, config.weights
    kinds = f" in {len(data.classes)} classes" if data.classes else ""
    return {
        "data": f"{data.name}: {data.examples:,} examples, {data.task}{kinds}",
        "cut": _cutting(config, tests),
        "network": f"{config.model.name}, input {' × '.join(map(str, config.spec.input_shape))}",
        "begun at": "" if given is None else f"the weights given (SHA-256 {given[:12]}…)",
    }


def train_examples(config: StudyConfig) -> int:
    """The number of training examples; without a share for testing the data brought that part."""
    cut, total = config.cut, config.data.examples
    if cut.train_size is not None:
        return cut.train_size
    rest = total if cut.test is None else total - ceil(cut.test * total)
    return rest - (ceil(rest / cut.folds) if cut.folds else ceil(cut.validation * rest))


def _cutting(config: StudyConfig, tests: Mapping[str, TestRecord]) -> str:
    cut, n = config.cut, train_examples(config)
    tested = next((test.n for test in tests.values()), None)
    parts = [
        f"{n:,} examples for training",
        f"one of {cut.folds} folds for choosing, another one for each chain"
        if cut.folds
        else f"{percent(cut.validation)} of what is not test data for choosing",
        f"{tested:,} examples for testing, the same for all seeds"
        if tested is not None
        else "a test part that stays closed until the choice is made",
    ]
    return listed(parts)


def training_words(training: TrainingConfig, epochs: int | str) -> str:
    """Optimizer, epochs, batches, learning rate."""
    if training.optimizer is None:
        return f"your own function, {epochs} epochs"
    rate = training.lr
    text = f"{training.optimizer}, {epochs} epochs, batches of {training.batch_size}"
    return text + (f", learning rate {strength(rate)}" if rate else ", its default learning rate")


def _knobs(column: ColumnConfig) -> str:
    symbol = knob(column.knob).before.removesuffix("= ")
    return f"{column.label}: {symbol}{', '.join(strength(k) for k in column.knobs)}"


def epochs_of(config: ContrastConfig) -> str:
    """The epochs of a network; from the first try of a warm-started path to its last."""
    first, last = config.epochs, config.epochs + _more(config)
    grows = last > first and any(map(_is_chained, config.columns))
    return f"{first} to {last}" if grows else f"{last}"


def _warm(config: ContrastConfig) -> str:
    chained = [c.label for c in config.columns if _is_chained(c)]
    anew = [c.label for c in config.columns if not _is_chained(c)]
    if not _more(config) or not chained:
        return ""
    total = config.epochs + _more(config)
    return (
        f". Each try goes on from the one before it for {config.point_epochs} epochs, the first "
        f"had all" + (f"; {listed(anew)} began anew, for {total} epochs" if anew else "")
    )


def _more(config: ContrastConfig) -> int:
    """What the last try of a warm-started path has had beyond the first."""
    return (len(config.columns[0].knobs) - 1) * config.point_epochs


def _is_chained(column: ColumnConfig) -> bool:
    return knob(column.knob).ordered


def _choice(rule: str) -> str:
    which = {
        "1se": "the most regularized try whose loss is at most the lowest plus its standard error "
        "(of learning rates the best)",
        "paired": "the most regularized try whose paired difference to the best is within one "
        "standard error, with all between them (of learning rates the best)",
    }.get(rule, "the best try")
    return f"by validation loss: {which}; the test part was opened after that"


def failures(keys: Sequence[str]) -> str:
    """How many fits failed, and which; nothing where none did.

    >>> failures(["l1/0/0", "l1/0/1"]), failures([])
    ('2: l1/0/0 and l1/0/1', '')
    """
    return f"{len(keys)}: {listed([*keys[:6], *(['…'] if keys[6:] else [])])}" if keys else ""


def _inapplicable(facts: Facts) -> str:
    """The columns that this network cannot have, and why."""
    reasons = {
        fit.column: " ".join(fit.failed.split()).partition(": ")[2]
        for fit in facts.view.records(FailedFitRecord).values()
        if not fit.applies
    }
    return "; ".join(f"{facts.label(name)}: {why}" for name, why in reasons.items())


def versions(view: RunView) -> str:
    """Of the program and what it stands on, as the run began."""
    try:
        header = parse_record((view.folder / "run.json").read_bytes())
        found = dict(header["versions"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return ", ".join(f"{name} {number}" for name, number in found.items())


def next_steps(facts: Facts) -> Section:
    """What follows from what this run did and did not measure, as commands or as arguments."""
    ideas: list[tuple[str, str, str]] = []
    if facts.seeds < 3:
        ideas.append((_why_seeds(facts.seeds), "seeds", str(_SEEDS)))
    ideas += _edges(facts)
    if any(one.role == "bias" and not one.penalised for one in facts.config.plan):
        ideas.append(("Penalise biases too:", "biases", ""))
    if len(facts.config.spec.input_shape) == 3 and facts.config.model.name == "cnn":
        ideas.append(("A dense first layer, to see which pixels L1 selects:", "model", "mlp"))
    epochs = str(4 * facts.config.epochs)
    ideas.append(("Longer training, nearer to rest:", "epochs", epochs))
    command = facts.view.decided.command
    told = [(why, _call(command, name, value)) for why, name, value in ideas]
    return suggested("What to try next", told)


def suggested(title: str, ideas: Sequence[tuple[str, str]]) -> Section:
    """Reasons, each with what to type."""
    items = "".join(
        f'<li>{escape(why)}<pre tabindex="0"><code>{escape(what)}</code></pre></li>'
        for why, what in ideas
    )
    return Section("next", title, html=f'<ul class="next">{items}</ul>' if items else "")


def _why_seeds(seeds: int) -> str:
    """What more seeds are good for: one has no standard error, two have a very wide interval."""
    if seeds == 1:
        return "More seeds, so that differences have a standard error:"
    now, then = (num(Difference(0.0, 1.0, n).half_width) for n in (seeds, _SEEDS))
    return (
        f"More seeds: with {seeds} a difference is told from 0 where it exceeds {now} standard "
        f"errors, with {_SEEDS} where it exceeds {then}:"
    )


def _edges(facts: Facts) -> list[tuple[str, str, str]]:
    """Choices at the end of their strengths may lie beyond it."""
    found = edges(facts.view)
    ideas = []
    for where, names in found.items():
        knobs = next(c.knobs for c in facts.config.columns if c.label == names[0])
        factor = knobs[1] / knobs[0]
        more = [k / factor**2 if where == "smallest" else k * factor**2 for k in knobs]
        grid = ",".join(f"{k:.2g}" for k in more)
        end = num(knobs[0] if where == "smallest" else knobs[-1])
        why = f"{listed(names)} chose the {where} λ tried, {end}; look further:"
        ideas.append((why, "strengths", grid))
    return ideas


def _call(command: str | None, name: str, value: str) -> str:
    """The command of this run with one option as said, or the argument."""
    if command is not None:
        return retyped(command, {name: value})
    argument = {"strengths": f"grid=[{value}]", "biases": "biases=True"}.get(name)
    if name == "model":
        return f"sh.contrast({value!r}, data, …)"
    return f"sh.contrast(…, {argument or f'{name}={value}'})"
