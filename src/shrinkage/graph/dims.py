"""Along which dimensions the elements of a tensor meet in a function."""

from collections.abc import Callable

from shrinkage.graph.call import Call, UnknownFunctionError
from shrinkage.graph.functions import Kind

Dims = tuple[int, ...]


def dims_of(call: Call, ndim: int) -> Dims:
    """The dimensions of an input with ``ndim``, as methods of tensors take them.

    Raises :class:`UnknownFunctionError` where that is not clear from the arguments.
    """
    return _BY_KIND.get(call.kind, _named)(call, ndim)


def _places(_: Call, ndim: int) -> Dims:
    return tuple(range(2, ndim))


def _windows(call: Call, _: int) -> Dims:
    return tuple(range(-call.function.n_places, 0))


def _last(call: Call, _: int) -> Dims:
    return tuple(range(-len(call.get("normalized_shape")), 0))


def _statistics(call: Call, ndim: int) -> Dims:
    """None where a norm uses its running statistics."""
    if not call.get("training") and call.get("running_mean") is not None:
        return ()
    first = (0,) if call.kind is Kind.BATCH_NORM else ()
    return (*first, *_places(call, ndim))


def _named(call: Call, ndim: int) -> Dims:
    dim = call.get("dim")
    if dim is None and call.kind is Kind.MIX:
        raise UnknownFunctionError(f"{call.name} without a dimension")
    if dim is None or dim == () or isinstance(dim, bool):  # that is std's old ``unbiased``
        return tuple(range(ndim))
    return (dim,) if isinstance(dim, int) else tuple(dim)


_BY_KIND: dict[Kind, Callable[[Call, int], Dims]] = {
    Kind.RESIZE: _places,
    Kind.AVERAGE_POOL: _windows,
    Kind.MAX_POOL: _windows,
    Kind.LAYER_NORM: _last,
    Kind.BATCH_NORM: _statistics,
    Kind.INSTANCE_NORM: _statistics,
}
