"""How much a contrast may cost: tries, seeds, epochs and batch size by name."""

from dataclasses import dataclass, replace
from types import MappingProxyType

from shrinkage.arguments import as_choice, as_int
from shrinkage.experiments.options import ContrastOptions


@dataclass(frozen=True)
class ContrastSize:
    """Tries per column, seeds, epochs per fit, examples per batch."""

    tries: int
    seeds: int
    epochs: int
    batch_size: int


@dataclass(frozen=True)
class _Budget:
    tries: int
    seeds: int
    seen: int  # examples that pass by in one fit, all epochs together
    most_epochs: int


BUDGETS = MappingProxyType(
    {
        "quick": _Budget(tries=3, seeds=1, seen=150_000, most_epochs=60),
        "normal": _Budget(tries=5, seeds=3, seen=600_000, most_epochs=100),
        "thorough": _Budget(tries=9, seeds=5, seen=3_000_000, most_epochs=200),
    }
)


def sized(options: ContrastOptions, n_train: int) -> ContrastSize:
    """The size of a contrast on ``n_train`` examples; what is given goes before the budget.

    Epochs: the budget's examples seen divided by ``n_train``, at least 2 and at most the
    budget's most. Batches of 32 up to 5,000 examples, above of 128.
    Raises :class:`FitError` for an unknown budget and numbers below 1.
    """
    remedy = "Or give --tries, --seeds and --epochs."
    b = BUDGETS[as_choice("budget", options.budget, BUDGETS, remedy=remedy)]
    size = ContrastSize(
        tries=b.tries,
        seeds=b.seeds,
        epochs=min(b.most_epochs, max(2, round(b.seen / max(1, n_train)))),
        batch_size=32 if n_train <= 5000 else 128,
    )
    given = {name: getattr(options, name) for name in vars(size)}
    remedy = "Leave it out for the budget's own."
    return replace(
        size,
        **{
            name: as_int(name, value, least=1, remedy=remedy)
            for name, value in given.items()
            if value is not None
        },
    )
