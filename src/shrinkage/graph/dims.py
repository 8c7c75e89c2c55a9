"""Along which dimensions the elements of a tensor meet in a function."""

from shrinkage.graph.call import Call, UnknownFunctionError
from shrinkage.graph.functions import Kind


def dims_of(call: Call, ndim: int) -> tuple[int, ...]:
    """The dimensions, as ``dim`` of a tensor method takes them, of an input with ``ndim``.

    Raises :class:`UnknownFunctionError` where that is not clear from the arguments.
    """
    places = tuple(range(2, ndim))
    match call.kind:
        case Kind.RESIZE:
            return places
        case Kind.AVERAGE_POOL | Kind.MAX_POOL:
            return tuple(range(-call.function.n_places, 0))
        case Kind.LAYER_NORM:
            return tuple(range(-len(call.get("normalized_shape")), 0))
        case Kind.BATCH_NORM | Kind.INSTANCE_NORM:
            is_batch = call.kind is Kind.BATCH_NORM
            uses_running = not call.get("training") and call.get("running_mean") is not None
            return () if uses_running else (0, *places) if is_batch else places
    dim = call.get("dim")
    if dim is None and call.kind is Kind.MIX:
        raise UnknownFunctionError(f"{call.name} without a dimension")
    if dim is None or dim == () or isinstance(dim, bool):  # that is std's old ``unbiased``
        return tuple(range(ndim))
    return (dim,) if isinstance(dim, int) else tuple(dim)
