"""The path in one figure for a notebook: score against λ and against the weights left."""

from typing import Any

from shrinkage.reports.figures import side_by_side
from shrinkage.reports.paths.curves import score_against_weights, score_along
from shrinkage.reports.paths.track import Track
from shrinkage.reports.paths.words import choice_sentence
from shrinkage.runs import RunView


def path_figure(view: RunView) -> Any:
    """A plotly figure: held-out score against λ and against nonzero weights, the choice ringed."""
    track = Track(view)
    return side_by_side(score_along(track), score_against_weights(track), choice_sentence(track))
