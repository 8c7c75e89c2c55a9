"""The table that a path ends with in the terminal."""

from shrinkage.reports.paths.rows import PathRow, path_rows
from shrinkage.reports.paths.track import Stop, Track
from shrinkage.reports.paths.words import (
    lam,
    no_better_sentence,
    trained_all_the_same,
    trained_whole,
)
from shrinkage.reports.plain import empty_table, plain
from shrinkage.reports.words import capital, count, percent, score_spread
from shrinkage.runs import Family, RunView

MOST = 12


def path_table(view: RunView, most: int = MOST) -> str:
    """At most ``most`` points, evenly chosen, both ends and the chosen one among them."""
    track, rows = Track(view), {(row.scale, row.fit): row for row in path_rows(view)}
    stops = [stop for stop in track.stops if (stop.scale, stop.family) in rows]
    chosen = _chosen_row(track, stops)
    on_path = sum(not stop.apart for stop in stops)
    beside = range(on_path, len(stops))
    shown = [*evenly(on_path, most, None if chosen in beside else chosen), *beside]
    table = empty_table()
    table.add_column("")
    for head in _heads(track):
        table.add_column(head, justify="right", no_wrap=True, vertical="bottom")
    for index in shown:
        table.add_row("▸" if index == chosen else "", *_cells(track, stops[index], rows))
    text = f"{_title(track, on_path, len(shown) - len(beside))}\n\n{plain(table)}"
    text += "\n\n▸ chosen" if chosen is not None else ""
    return "\n".join([text, *filter(None, _notes(track))])


def _chosen_row(track: Track, stops: list[Stop]) -> int | None:
    """Where the choice stands among these; None before it."""
    chosen, stop = track.chosen, track.chosen_stop
    if chosen is None or not chosen.final or stop is None:
        return None
    return stops.index(track.stops[stop])


def _title(track: Track, points: int, shown: int) -> str:
    study = track.view.study
    some = f"{points} points"
    if shown < points:
        some = f"{shown} of its {points} points (all in the report)"
    seeds = f"mean ± sd over {track.chains}" if track.seeds > 1 else "one seed"
    return f"{study.data.name}, {study.model.name}: {some}, {seeds}"


def _notes(track: Track) -> tuple[str, ...]:
    inexact = trained_all_the_same(track)
    return (
        f"{capital(inexact)}." if inexact else "",
        trained_whole(track),
        no_better_sentence(track),
    )


def evenly(count: int, most: int, keep: int | None) -> list[int]:
    """At most ``most`` of ``count`` indices, evenly spaced, with both ends and ``keep``.

    >>> evenly(5, 12, 2), evenly(31, 4, 11)
    ([0, 1, 2, 3, 4], [0, 11, 20, 30])
    """
    if count <= most:
        return list(range(count))
    even = [round(k * (count - 1) / (most - 1)) for k in range(most)]
    if keep is not None and keep not in even:
        inner = min(even[1:-1] or even[:1], key=lambda index: abs(index - keep))
        even[even.index(inner)] = keep
    return sorted(even)


def _heads(track: Track) -> list[str]:
    heads = ["λ", "weights\nleft", "share", *(["features\nused"] if _has_features(track) else [])]
    parts = ("validation", "test") if track.held_out == "test" else ("validation",)
    heads += [f"{part}\n{family}" for part in parts for family in track.families]
    return heads


def _cells(track: Track, stop: Stop, rows: dict[tuple[float, Family], PathRow]) -> list[str]:
    first = rows[stop.scale, stop.family]
    cells = [
        f"stable, {lam(stop.scale)}" if stop.apart else lam(stop.scale),
        f"{first.nonzeros:,.0f}",
        percent(first.density),
        *([count(first.features)] if _has_features(track) else []),
    ]
    for part in ("validation", "test") if track.held_out == "test" else ("validation",):
        for family in track.families:
            is_shown = not stop.apart or family == track.families[-1]
            row = rows.get((stop.scale, stop.family if stop.apart else family))
            cells.append(_score(row, part) if row is not None and is_shown else "")
    return cells


def _has_features(track: Track) -> bool:
    return any(track.features(scale) is not None for scale in track.rows)


def _score(row: PathRow, part: str) -> str:
    if part == "test":
        return score_spread(row.score_name, row.test_score, row.test_sd)
    return score_spread(row.score_name, row.validation_score, row.validation_sd)
