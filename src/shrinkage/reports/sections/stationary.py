"""How far each column's chosen networks are from stationary: the certificates."""

from collections.abc import Sequence
from html import escape

from shrinkage.reports.equal import HEAD, MEANING, TITLE, at_equal_strength
from shrinkage.reports.facts import Facts
from shrinkage.reports.sections.base import Section, table
from shrinkage.reports.summary import ColumnSummary, idle, idle_text
from shrinkage.reports.table import knob_text
from shrinkage.reports.words import num, spread
from shrinkage.runs import CertificateRecord

_HEAD = (
    "column", "at", "objective", "best constant", "KKT gap", "residual", "first seed: largest at",
    "kink-aware"
)  # fmt: skip


def stationary(facts: Facts) -> Section:
    """Objective, gap and residual of the chosen networks on their training data."""
    rows = [_row(facts, row) for row in facts.rows.values() if row.objective is not None]
    notes = "".join(_note(text) for text in _notes(facts))
    html = (table(_HEAD, rows) if rows else "") + notes + _at_equal_strength(facts)
    return Section("stationary", "How far from stationary", (), [], html)


def _at_equal_strength(facts: Facts) -> str:
    """Both forms of L1 beside each other, where a contrast has both."""
    rows = [list(row.cells) for row in at_equal_strength(facts.view)]
    return f"<h3>{TITLE}</h3>{table(HEAD, rows)}{_note(MEANING)}" if rows else ""


def _row(facts: Facts, row: ColumnSummary) -> list[str]:
    certificate = facts.certificate(row.name)
    return [
        row.label,
        knob_text(row),
        *map(spread, (row.objective, row.null_objective, row.stationary_gap, row.residual)),
        "—" if certificate is None or row.residual is None else _largest(certificate),
        "—" if certificate is None else _kinks(certificate),
    ]


def _largest(certificate: CertificateRecord) -> str:
    """The parameter with the largest gap."""
    parts = certificate.per_parameter
    return max(parts, key=lambda name: parts[name].gap or 0.0) if parts else "—"


def _kinks(certificate: CertificateRecord) -> str:
    """The kink-aware gap beside the plain one of the same network."""
    if certificate.kink_gap is None:
        return "—"
    return f"{num(certificate.kink_gap)}, plain {num(certificate.gap)}"


def _notes(facts: Facts) -> list[str]:
    """What the numbers are, what they leave out, and networks that have learnt nothing."""
    known = [c for name in facts.names if (c := facts.certificate(name)) is not None]
    penalised = [c for c in known if c.gap is not None]
    notes = [_MEANING] if penalised else []
    rounds = facts.config.polish
    if rounds:
        notes.append(
            "After training, the networks with an exact penalty were polished on their training "
            f"data: at most {rounds} rounds each. Training histories end with that."
        )
    notes += _about_kinks(penalised)
    notes += dict.fromkeys(note for c in known for note in c.notes)
    notes += [*_uncertified(facts), *map(idle_text, idle(list(facts.rows.values())))]
    return notes


def _about_kinks(penalised: Sequence[CertificateRecord]) -> list[str]:
    """What the kink-aware gap is, or why there is none."""
    kinks = next((c for c in penalised if c.kink_gap is not None), None)
    if kinks is not None:
        return [
            "The KKT gap is that of the plain gradient; the kink-aware one that of the best mean "
            f"of {kinks.samples} gradients close by (every weight moved by at most a thousandth "
            "of their root mean square): ReLU and max-pooling put minimisers on kinks, where only "
            "this one vanishes."
        ]
    return [
        "The KKT gap is that of the plain gradient, which need not vanish on the kinks of ReLU "
        "and max-pooling. The kink-aware gap is not measured: parameters × training examples "
        f"exceed {certificate.kinks_up_to:,}."
        for certificate in penalised[:1]
    ]


def _uncertified(facts: Facts) -> list[str]:
    return [
        f"{facts.label(name)}: no certificate: {' '.join(why.split())}"
        for name in facts.names
        if (why := facts.uncertified(name)) is not None
    ]


_MEANING = (
    "A network is stationary where every weight left has a slope of the loss that balances the "
    "penalty's, and no zero would lower the cost by leaving. The KKT gap is the largest distance "
    "from that over all parameters, in units of the penalty's slope at zero: λ for L1, l1 for "
    "elastic net, λ·√m for a group of m weights; L2 has none there, its unit is the largest "
    "|∂loss/∂w|. The residual is the same distance undivided. Certified on all training data of "
    "each seed in eval mode. Stationary is not optimal: a dead network is stationary too, and its "
    "objective is not below that of the best constant prediction."
)


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'
