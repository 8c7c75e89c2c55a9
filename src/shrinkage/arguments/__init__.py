"""Arguments as callers pass them: what a function takes, one way to read it, one way to refuse it.

Options of commands stand in one record each, from which signature, docstring and ``--help``
follow. The records lie beside the commands; no module of theirs imports PyTorch, so that
``--help`` answers at once.
"""

from shrinkage.arguments.checks import (
    BELOW_ONE,
    as_choice,
    as_flag,
    as_int,
    as_names,
    as_number,
    as_path,
    as_shape,
    callback,
    check_function,
    check_type,
    plain,
    settle,
)
from shrinkage.arguments.options import Listed, Option, Options, Typed, options_of
from shrinkage.arguments.signatures import takes

__all__ = [
    "BELOW_ONE",
    "Listed",
    "Option",
    "Options",
    "Typed",
    "as_choice",
    "as_flag",
    "as_int",
    "as_names",
    "as_number",
    "as_path",
    "as_shape",
    "callback",
    "check_function",
    "check_type",
    "options_of",
    "plain",
    "settle",
    "takes",
]
