"""The exact form beside the textbook's loss term, at the same λ: they minimise the same cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from shrinkage.lesson.estimates import mean
from shrinkage.reports.seed_figures import Figure, figure, plus
from shrinkage.reports.summary import fits_of
from shrinkage.reports.words import percent, spread, strength
from shrinkage.runs import CertificateRecord, FitRecord, RunView

HEAD = (
    "λ", "cost: loss term", "exact", "exact ÷ term", "exact zeros: term", "exact", "KKT gap (term)",
    "exact"
)  # fmt: skip
TITLE = "L1 at equal λ: as a term of the loss, and exact"
MEANING = (
    "At equal λ: both minimise the same cost, loss + λ·Σ|w| on the training data after the last "
    "epoch; below 1 the exact form has got further. Their chosen λ above may differ, and gaps at "
    "different λ are no comparison."
)


@dataclass(frozen=True)
class AtStrength:
    """Both forms at one λ: mean ± sd over the seeds of both; a gap where both are certified."""

    strength: float
    costs: tuple[Figure, Figure]
    ratio: Figure
    zeros: tuple[float | None, float | None]
    gaps: tuple[Figure, Figure] | None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of a table."""
        gaps = ("—", "—") if self.gaps is None else tuple(spread(gap, 2) for gap in self.gaps)
        return (
            strength(self.strength),
            *map(spread, self.costs),
            spread(self.ratio),
            *("—" if share is None else percent(share) for share in self.zeros),
            *gaps,
        )


def at_equal_strength(view: RunView) -> list[AtStrength]:
    """Every λ that both forms of L1 have been trained at; none where a column is missing."""
    forms = {column.form: column for column in view.contrast.columns if column.penalty == "L1"}
    if set(forms) != {"term", "exact"} or forms["term"].knobs != forms["exact"].knobs:
        return []
    names = (forms["term"].name, forms["exact"].name)
    rows = (_at(view, names, k, knob) for k, knob in enumerate(forms["exact"].knobs))
    return [row for row in rows if row is not None]


def _at(view: RunView, names: tuple[str, str], index: int, knob: float) -> AtStrength | None:
    fits = [fits_of(view, name, index) for name in names]
    costs = [{fit.seed: plus(fit.train.loss, fit.penalty) for fit in some} for some in fits]
    term, exact = (figure(values) for values in costs)
    if term is None or exact is None or (ratio := _ratio(term, exact)) is None:
        return None
    shares = [mean([fit.weights.zeros / fit.weights.size for fit in some]) for some in fits]
    return AtStrength(knob, (term, exact), ratio, (shares[0], shares[1]), _gaps(view, fits))


def _ratio(term: Figure, exact: Figure) -> Figure | None:
    """Exact ÷ term in the seeds of both."""
    ours = exact.by_seed
    return figure(
        {seed: ours[seed] / cost for seed, cost in term.by_seed.items() if cost and seed in ours}
    )


def _gaps(view: RunView, fits: Sequence[Sequence[FitRecord]]) -> tuple[Figure, Figure] | None:
    """The gaps of the seeds in which both forms are certified."""
    known = view.records(CertificateRecord)
    found = [{fit.seed: known[fit.key].gap for fit in some if fit.key in known} for some in fits]
    both = found[0].keys() & found[1].keys()
    term, exact = (figure({seed: gaps[seed] for seed in both}) for gaps in found)
    return None if term is None or exact is None else (term, exact)
