"""Which methods act on one parameter."""

from collections.abc import Iterator
from typing import Literal

from shrinkage.optim.methods import Averaged, Method, Prox, Subgradient
from shrinkage.optim.spheres import Sphere
from shrinkage.optim.witness import ForeignWrites
from shrinkage.penalties import Penalty
from shrinkage.plans import Entry

MethodName = Literal["auto", "prox", "averaged", "subgradient"]


def acting(
    name: MethodName, entry: Entry, penalty: Penalty, writes: ForeignWrites, *, rescale: bool
) -> tuple[Method, ...]:
    """The methods on one parameter, on its sphere where asked for; the loss term knows none.

    Those that notice writes of others tell ``writes``.
    """
    methods = tuple(_methods(name, entry, penalty))
    for method in methods:
        if isinstance(method, Averaged | Prox):
            method.writes = writes
    if not rescale or entry.sphere is None or not methods or name == "subgradient":
        return methods
    return (Sphere(entry, penalty, entry.sphere, methods),)


def _methods(name: MethodName, entry: Entry, penalty: Penalty) -> Iterator[Method]:
    """How a penalty acts on one parameter; nothing where it has no strength.

    Averaging is for kinks: a smooth part acts step by step, because averaged it would be felt less
    and less; and after them, as in the prox of their sum: before, it would magnify their share.
    """
    if penalty == penalty.scaled(0):
        return
    match name:
        case "auto" | "averaged":
            parts = [part for part in penalty.parts if part != part.scaled(0)]
            for part in sorted(parts, key=lambda part: part.slope == 0):
                yield (Averaged if part.slope > 0 else Prox)(entry, part)
        case "prox":
            yield Prox(entry, penalty)
        case "subgradient":
            yield Subgradient(entry, penalty)
