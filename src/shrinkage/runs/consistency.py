"""Do the records of a run go together? In a folder without checksums somebody may have edited one.

Readers look columns and tries up by what a record says of itself.
"""

from typing import TYPE_CHECKING

from shrinkage.runs.contrast_records import TrialRecord
from shrinkage.runs.path_records import HalfSampleRecord, ScaleRecord

if TYPE_CHECKING:
    from shrinkage.runs.view import RunView


def check_together(view: "RunView") -> None:
    """Raise :class:`ValueError` that names what does not fit the run, or its own key."""
    if view.command in ("contrast", "explore"):
        _check_contrast(view)
    elif view.command == "path":
        _check_path(view)


def _check_contrast(view: "RunView") -> None:
    tries = {column.name: len(column.knobs) for column in view.contrast.columns}
    for key, fit in view.records(TrialRecord).items():
        if key != f"{fit.column}/{fit.index}/{fit.seed}":
            raise ValueError(f"the fit {key} says that it is of another column, try or seed")
        if fit.index >= tries.get(fit.column, 0) or fit.seed >= view.contrast.seeds:
            raise ValueError(f"the fit {key} is of no column, try or seed of the run")
    for name, choice in (view.decided.choices or {}).items():
        if choice.index >= tries.get(name, 0):
            raise ValueError(f"the choice of {name} is none of its tries")


def _check_path(view: "RunView") -> None:
    for key, fit in view.records(ScaleRecord).items():
        if key.partition("/")[0] != str(fit.seed) or fit.seed >= view.path.seeds:
            raise ValueError(f"{fit.kind} {key} is of seed {fit.seed}, which is not its own")
    stable, chains = view.decided.stable, view.records(HalfSampleRecord).values()
    if stable is not None and not all(stable.scale in chain.scales for chain in chains):
        raise ValueError(f"no half sample has been at the stable features' scale {stable.scale:g}")
