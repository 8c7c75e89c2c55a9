"""What is studied: data, how they are cut, and the network that learns from them."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch

from shrinkage.analysis.measures import of_numbers
from shrinkage.analysis.measures.losses import Loss, is_own_code
from shrinkage.data import Data, Split, from_user, split
from shrinkage.data._split import share_for_test
from shrinkage.data.models import Factory, build, default_model, resolve
from shrinkage.data.outputs import columns_of_ids, reads_ids
from shrinkage.errors import listed, warn
from shrinkage.experiments.studies.study import Cut, check_classes


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
    cut: Cut,
    *,
    loss: Loss | None = None,
    train: object = None,
) -> Subject:
    """Read what a user has passed; raises the package's errors for what cannot be.

    With a ``loss`` or a ``train`` of the user's own several integers a row are no labels, and no
    integer is one for a loss of numbers, such as ``nn.PoissonNLLLoss``. Integer inputs that the
    network reads as ids stay as they are. Columns of which nothing can be learnt are said in a
    warning.
    """
    if make_model is not None:
        resolve(make_model)  # where the two are swapped, it says so
    own = loss is not None or train is not None

    def labels(shape: tuple[int, ...]) -> bool:
        return not of_numbers(loss) and not (own and len(shape) == 2 and shape[1] > 1)

    source = from_user(data, labels=labels)
    check_classes(loss, source)
    if train is not None or (loss is not None and is_own_code(loss)):
        _warn_of_numbering(source)
    if own and source.y.dtype == torch.float64:
        _warn_of_far_targets(source)
    model = default_model(source.is_image) if make_model is None else make_model
    factory = resolve(model)
    source = _with_ids(factory, source)
    cut = replace(cut, test=share_for_test(source, cut.test))
    first = split(source, 0, **vars(cut))
    _warn_of_constants(source, first)
    return Subject(source, cut, model, factory, len(first.train))


def _warn_of_constants(data: Data, parts: Split) -> None:
    if parts.x_constant is None or not parts.x_constant.any():
        return
    pairs = zip(data.columns, data.features, parts.x_constant.tolist(), strict=True)
    constant = [(column, origin) for column, origin, is_constant in pairs if is_constant]
    levels = Counter(origin for column, origin in constant if column != origin)
    names = [repr(column) for column, origin in constant if column == origin]
    names += [f"{count} made of {origin!r}" for origin, count in levels.items()]
    warn(
        f"{data.name}: {len(constant)} of {len(data.columns)} inputs hold one value in all "
        f"training rows: {listed(names, 20)}. Nothing can be learnt from them: they count as 0, "
        "in new rows too",
    )


def _with_ids(factory: Factory, data: Data) -> Data:
    """The data with inputs, or columns of a table, as they are where the network reads ids."""
    whole = _whole(data)
    if not data.integers and not whole:
        return data
    with torch.random.fork_rng(devices=[]):
        model = build(factory, data.spec)
    x = data.first(8)
    if data.integers and reads_ids(model, x):
        return data.as_ids()
    ids = whole.intersection(columns_of_ids(model, x) if whole else ())
    scaled = (one and k not in ids for k, one in enumerate(data.standardise))
    return replace(data, standardise=tuple(scaled))


def _whole(data: Data) -> set[int]:
    """The columns of a table that hold whole numbers alone."""
    if data.x.ndim != 2 or not any(data.standardise):
        return set()
    return set((data.x == data.x.round()).all(dim=0).nonzero().flatten().tolist())


def _warn_of_far_targets(data: Data) -> None:
    low, high = float(data.y.min()), float(data.y.max())
    warn(
        f"{data.name}: a network in float32 cannot tell the targets apart, {low:.10g} to "
        f"{high:.10g}, and beside a loss or training of your own they stay as given: subtract a "
        "constant from them, and divide them by their spread",
    )


def _warn_of_numbering(data: Data) -> None:
    """Warn (:class:`ShrinkageWarning`) where integers reach the user's own code as others."""
    values = [name for name in data.classes if name.lstrip("-").isdecimal()]
    if values and values != [str(k) for k in range(len(data.classes))]:
        some = ", ".join(values[:4]) + (" …" if len(values) > 4 else "")
        warn(
            f"integer targets are class labels, and {some} reach your own code numbered 0 to "
            f"{len(data.classes) - 1}; where they are quantities, pass them as floats; where one "
            "of them is to be ignored, leave its rows out",
        )
