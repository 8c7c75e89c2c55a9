"""The table that a path ends with in the terminal."""

from rich.table import Table

from shrinkage.reports.paths.rows import Point, path_rows
from shrinkage.reports.paths.track import Stop, Track
from shrinkage.reports.paths.wording import (
    lam,
    no_better_sentence,
    trained_all_the_same,
    trained_whole,
)
from shrinkage.reports.plain import plain
from shrinkage.reports.wording import count, num, percent, score
from shrinkage.runs import RunView, of_records

MOST = 12


@of_records
def path_table(view: RunView, most: int = MOST) -> str:
    """At most ``most`` points, evenly chosen, both ends and the chosen one among them."""
    track, rows = Track(view), {(row["scale"], row["fit"]): row for row in path_rows(view)}
    stops = [stop for stop in track.stops if (stop.scale, stop.family) in rows]
    final = track.chosen is not None and track.chosen.final and track.chosen_stop is not None
    chosen = stops.index(track.stops[track.chosen_stop or 0]) if final else None
    on_path = sum(not stop.apart for stop in stops)
    beside = range(on_path, len(stops))
    shown = [*evenly(on_path, most, None if chosen in beside else chosen), *beside]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("")
    for head in _heads(track):
        table.add_column(head, justify="right", no_wrap=True, vertical="bottom")
    for index in shown:
        table.add_row("▸" if index == chosen else "", *_cells(track, stops[index], rows))
    data, model = view.config["data"]["name"], view.config["model"]["name"]
    all_shown = len(shown) == len(stops)
    some = f"{on_path} points"
    if not all_shown:
        some = f"{len(shown) - len(beside)} of its {on_path} points (all in the report)"
    seeds = f"mean ± sd over {track.chains}" if track.seeds > 1 else "one seed"
    text = f"{data}, {model}: {some}, {seeds}\n\n{plain(table)}"
    text += "\n\n▸ chosen" if chosen is not None else ""
    inexact = trained_all_the_same(track)
    notes = [
        f"{inexact[0].upper()}{inexact[1:]}." if inexact else "",
        trained_whole(track),
        no_better_sentence(track),
    ]
    return "\n".join([text, *filter(None, notes)])


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


def _cells(track: Track, stop: Stop, rows: dict[tuple[float, str], Point]) -> list[str]:
    first = rows[stop.scale, stop.family]
    cells = [
        f"stable, {lam(stop.scale)}" if stop.apart else lam(stop.scale),
        f"{first['nonzeros']:,.0f}",
        percent(first["density"]),
        *([count(first["features"])] if _has_features(track) else []),
    ]
    for part in ("validation", "test") if track.held_out == "test" else ("validation",):
        for family in track.families:
            refit = stop.family if family == track.families[-1] else ""
            row = rows.get((stop.scale, refit if stop.apart else family))
            cells.append(_score(row, part) if row is not None else "")
    return cells


def _has_features(track: Track) -> bool:
    return any(track.features(scale) is not None for scale in track.rows)


def _score(row: Point, part: str) -> str:
    mean, sd = row[f"{part}_score"], row[f"{part}_sd"]
    if mean is None or sd is None:
        return score(row["score_name"], mean)
    if row["score_name"] == "accuracy":
        return f"{100 * mean:.1f} ± {100 * sd:.1f} %"
    return f"{num(mean)} ± {num(sd, 2)}"
