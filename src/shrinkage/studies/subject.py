"""What is studied: data, how they are cut, and the network that learns from them."""

import warnings
from dataclasses import asdict, dataclass
from typing import Any

from shrinkage.data import Data, Split, from_user, split
from shrinkage.data.source import listed
from shrinkage.data.splitting import share_for_test
from shrinkage.errors import ShrinkageWarning
from shrinkage.models import Factory, default_model, resolve
from shrinkage.studies.study import Cut


@dataclass(frozen=True, eq=False)
class Subject:
    """Data and their cut; ``model`` as it was named, or by default, and the factory behind it.

    ``n_train``: the training examples of a seed.
    """

    data: Data
    cut: Cut
    model: str | Factory
    factory: Factory
    n_train: int


def subject(
    make_model: str | Factory | None,
    data: Any,
    *,
    train_size: int | None,
    validation: float,
    test: float | None,
    folds: int | None = None,
) -> Subject:
    """Read what a user has passed; raises the package's errors for what cannot be.

    Columns of which nothing can be learnt are said in a warning.
    """
    source = from_user(data)
    model = default_model(source.is_image) if make_model is None else make_model
    factory = resolve(model)
    cut = Cut(train_size, validation, share_for_test(source, test), folds)
    first = split(source, 0, **asdict(cut))
    _warn_of_constants(source, first)
    return Subject(source, cut, model, factory, len(first.train))


def _warn_of_constants(data: Data, parts: Split) -> None:
    if parts.x_constant is None or not parts.x_constant.any():
        return
    pairs = zip(data.columns, parts.x_constant.tolist(), strict=True)
    names = [repr(column) for column, is_constant in pairs if is_constant]
    warnings.warn(
        f"{data.name}: {len(names)} of {len(data.columns)} columns hold one value in all training "
        f"rows: {listed(names, 20)}. Nothing can be learnt from them: they count as 0, in new rows "
        "too",
        ShrinkageWarning,
        stacklevel=3,
    )
