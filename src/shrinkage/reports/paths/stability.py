"""Which features are stable: selection frequencies over half samples; the order of leaving."""

from html import escape

from shrinkage.analysis.features import ASSUMED, Frequencies, StableSet, frequencies, leaving
from shrinkage.reports.figures import frequency_paths, leaving_order, unzip
from shrinkage.reports.paths.track import Track
from shrinkage.reports.paths.words import lam
from shrinkage.reports.sections.base import Plot, Section, table
from shrinkage.reports.words import num, percent
from shrinkage.runs import StabilityConfig

_MOST = 40
"""Features that a table or the order of leaving shows: the surest, the last to leave."""


def stability(track: Track) -> Section:
    """How often half samples use each feature; nothing for a run without half samples."""
    found = frequencies(track.view)
    asked = track.config.stability
    if found is None or asked is None:
        return Section("stability", "Stable features")
    decided = track.decisions.stable
    names = () if decided is None else tuple(decided.names)
    threshold = asked.threshold
    made = frequency_paths(
        found.scales,
        {name: found.share[:, k].tolist() for k, name in enumerate(found.names)},
        stable=names,
        threshold=threshold,
        scale=None if decided is None else decided.scale,
    )
    caption = (
        "Share of half samples that use a feature at λ or a stronger one; coloured: stable; "
        f"dashed: the threshold of {_share(threshold)} and the weakest λ that counts"
    )
    return Section(
        "stability",
        "Stable features",
        (),
        [Plot(caption, made)],
        _said(track, found, asked),
        below=_rows(track, found, names),
    )


def _said(track: Track, found: Frequencies, asked: StabilityConfig) -> str:
    """What the stable set rests on, in a sentence."""
    decided = track.decisions.stable
    if decided is None:
        text = (
            f"{found.subsamples} of {asked.subsamples} half samples so far; nothing is decided yet."
        )
    else:
        names = decided.names
        text = (
            f"{len(names)} of {len(found.names)} features are stable: at least "
            f"{_share(asked.threshold)} of {found.subsamples} half samples of the training rows "
            f"use them at λ ≥ {lam(decided.scale)}. From there on a half sample uses "
            f"{num(decided.used)} features on average, and at most {num(decided.expected, 2)}"
            f" of the stable ones are expected to be false: {ASSUMED} (bound of Shah & Samworth, "
            f"2013)."
        )
        doubt = StableSet.of(decided).doubt
        text += f" Mind: {doubt}." if doubt else ""
    if found.dropped:
        text += f" Pairs of half samples left out, because one diverged: {found.dropped}."
    return f'<p class="note">{escape(text)}</p>'


def _rows(track: Track, found: Frequencies, stable: tuple[str, ...]) -> str:
    """A row per feature, the surest first: frequency, and the last λ of the path that uses it."""
    decided = track.decisions.stable
    at = found.scales[0] if decided is None else decided.scale
    share, last = found.at(at), {one.name: one.scale for one in leaving(track.view)}
    order = sorted(share, key=lambda name: (-share[name], -(last.get(name) or 0.0)))
    shown = order[: max(_MOST, len(stable))]
    head = ("feature", "stable", f"frequency at λ ≥ {lam(at)}", "last λ on the path")
    body = [
        (
            name,
            "yes" if name in stable else "no",
            percent(share[name]),
            "—" if (scale := last.get(name)) is None else lam(scale),
        )
        for name in shown
    ]
    more = len(order) - len(shown)
    note = f'<p class="note">and {more:,} more features: path.features()</p>' if more else ""
    return table(head, body) + note


def _share(threshold: float) -> str:
    return f"{100 * threshold:g} %"


def order_of_leaving(track: Track) -> list[Plot]:
    """The last λ at which each column of a table is used, those that stay longest on top."""
    named = track.scales and track.config.data.columns  # pixels have numbers
    order = leaving(track.view) if named else []
    shown = order[:_MOST]
    if not any(one.scale for one in shown):
        return []
    stable = () if track.decisions.stable is None else track.decisions.stable.names
    made = leaving_order(*unzip((o.name, o.scale) for o in shown), stable=stable)
    some = f", the {len(shown)} of {len(order)} that stay longest" if shown != order else ""
    over = f", median of {track.chains}" if track.seeds > 1 else ""
    coloured = "; coloured: stable" if stable else ""
    return [Plot(f"The order in which features leave{some}{over}{coloured}", made)]
