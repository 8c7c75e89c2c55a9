"""A run's command line, changed where another run should differ."""

import re
from collections.abc import Mapping

_VALUE = r"[\s=]('[^']*'|\S+)"


def retyped(command: str, options: Mapping[str, str]) -> str:
    """The command with these options (name → value, ``""`` for a flag) at its end, each once.

    >>> retyped("shrinkage path wine --seeds 2 --jobs=1 --polish", {"seeds": "5", "jobs": "3"})
    'shrinkage path wine --polish --seeds 5 --jobs 3'
    >>> retyped("shrinkage contrast 'my data.csv' --biases", {"biases": ""})
    "shrinkage contrast 'my data.csv' --biases"
    """
    for name, value in options.items():
        # by pattern, not by shlex: the text may come from a caller, and its quotes stay as they are
        had = rf"\s+--{re.escape(name)}{_VALUE if value else ''}(?!\S)"
        command = f"{re.sub(had, '', command)} --{name} {value}".rstrip()
    return command
