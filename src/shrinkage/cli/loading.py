"""Data, from the options that say how they are read."""

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from shrinkage.data import Data


def loaded(
    data: str, target: str | None, task: str | None, missing: str | None, image_size: int | None
) -> "Data":
    """What :func:`load` makes of them; it checks the words."""
    from shrinkage.data import load

    known = {"task": cast("Any", task), "missing": cast("Any", missing)}
    return load(data, target=target, image_size=image_size, **known)
