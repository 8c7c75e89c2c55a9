"""What a network says to new rows, which need no more columns than it reads."""

import polars as pl
from torch import nn

from shrinkage.analysis.measures.reachability import reach
from shrinkage.runs.questions import Questions, Rows


def ask(questions: Questions, model: nn.Module, rows: Rows) -> pl.DataFrame:
    """As :meth:`Questions.ask`; columns whose inputs all lie on no path are not looked at."""
    found = None if questions.ids else reach(model, questions.shape)
    return questions.ask(model, rows, None if found is None else found.inputs)
