"""What is studied: data, how they are cut, and the network that learns from them."""

from dataclasses import dataclass
from typing import Any

from shrinkage.data import Data, from_user, split
from shrinkage.data.splitting import share_for_test
from shrinkage.models import Factory, default_model, resolve
from shrinkage.studies.study import Cut


@dataclass(frozen=True, eq=False)
class Subject:
    """Data and their cut; ``model`` as it was named, or by default, and the factory behind it."""

    data: Data
    cut: Cut
    model: str | Factory
    factory: Factory

    @property
    def n_train(self) -> int:
        """The training examples of a seed."""
        return len(split(self.data, 0, **vars(self.cut)).train)


def subject(
    make_model: str | Factory | None,
    data: Any,
    *,
    train_size: int | None,
    validation: float,
    test: float | None,
    folds: int | None = None,
) -> Subject:
    """Read what a user has passed; raises the package's errors for what cannot be."""
    if make_model is not None:
        resolve(make_model)  # where the two are swapped, it says so
    source = from_user(data)
    model = default_model(source.is_image) if make_model is None else make_model
    factory = resolve(model)
    cut = Cut(train_size, validation, share_for_test(source, test), folds)
    return Subject(source, cut, model, factory)
