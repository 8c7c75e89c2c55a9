"""What a parameter is to its layer: its role, and which axes are outputs, inputs and the rest."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from math import prod
from re import search

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.rnn import RNNBase, RNNCellBase

from shrinkage.errors import PlanError, did_you_mean, shown
from shrinkage.graph.computed import Source, WeightPart, source_of


class Role(Enum):
    """Why a parameter is, or is not, penalised by default."""

    WEIGHT = "weight"
    BIAS = "bias"
    NORM = "normalisation"
    EMBEDDING = "embedding"
    OTHER = "other"
    PARAMETRISED = "parametrised"
    DIRECTION = "direction"
    SCALE_FREE = "scale-free"


NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True)
class Layout:
    """A parameter's axes, one letter each, after a reshape to ``split``.

    ``g`` convolution group, ``o`` output unit, ``i`` input unit, ``k`` anything inside a pair
    (kernel positions, gates). A grouped convolution (out, in/G, h, w) is ``goik`` with split
    (G, out/G, in/G, h·w). ``dims``: the parameter's own axis (the first, of several) of each.
    """

    split: tuple[int, ...]
    axes: str
    dims: tuple[int, ...] = ()

    def along(self, dim: int | None) -> "Layout":
        """The layout of one number per index of the parameter's axis ``dim`` (None: one in all)."""
        known = tuple(zip(self.split, self.axes, self.dims, strict=True))
        split = tuple(size if at == dim else 1 for size, _, at in known)
        axes = "".join(axis if at == dim else "k" for _, axis, at in known)
        return Layout(split, axes, self.dims)


@dataclass(frozen=True)
class Description:
    """Role and layout of one parameter.

    ``layer``: how many modules up the layer is that uses it; ``weight``: what the layer calls it.
    ``note``: what else there is to say; ``stands_for``: the number of weights that each of its
    numbers is the norm of.
    """

    role: Role
    layout: Layout
    layer: int = 0
    weight: str = ""
    note: str = ""
    stands_for: int = 1

    @property
    def why_not(self) -> str:
        """Why a rule that matches leaves the parameter out."""
        return self.note or _WHY_NOT[self.role]


_WHY_NOT = {
    Role.WEIGHT: "a weight",
    Role.BIAS: "a bias: biases=True or a rule such as '*.bias' includes it",
    Role.NORM: "a normalisation layer: norms=True or its exact name includes it",
    Role.EMBEDDING: "an embedding: a rule that names it includes it",
    Role.OTHER: "not a known layer's weight: a rule that names it includes it",
}


def register_layer(kind: type[nn.Module], axes: Mapping[str, str]) -> None:
    """Teach every :class:`Plan` a layer: which of its parameters are weights, with which axes.

    ``axes`` has one letter per axis by the parameter's name: ``o`` its output units, ``i`` its
    inputs, ``k`` anything within a pair of both (kernel positions), ``g`` separate layers in one
    tensor (experts). Names may be patterns, and go on into modules inside (``"weights.*"`` of a
    ``ParameterList``). Derived classes are covered unless they have their own. Plans that are
    made from then on penalise these parameters as they do a linear layer's weight, and
    ``by="filter"`` and ``by="input"`` know their groups. Raises :class:`PlanError` for a kind that
    is no module class, and for other letters; a plan does for names that no layer of the kind has.

    >>> class Experts(nn.Module): ...
    >>> register_layer(Experts, {"up": "goi", "down": "goi"})
    """
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        is_layer = isinstance(kind, nn.Module)
        raise PlanError(
            "only the class of a layer can be registered",
            got=shown(kind),
            expected="a subclass of nn.Module",
            remedy=f"Pass its class: register_layer({type(kind).__name__}, …)."
            if is_layer
            else _FOR_INSTANCE,
        )
    if not isinstance(axes, Mapping) or not axes or not all(map(_is_name, axes)):
        raise PlanError(
            "the axes of a layer's weights are not given by name",
            got=shown(axes),
            expected="a mapping from names of its parameters to a letter per axis",
            remedy=_FOR_INSTANCE,
        )
    for name, letters in axes.items():
        if wrong := _wrong_in(letters):
            raise PlanError(
                f"the axes of {name!r} cannot be read",
                got=f"{shown(letters)}: {wrong}",
                expected="a letter per axis: o (outputs), i (inputs), k (within both), g (layers)",
                remedy=_FOR_INSTANCE,
            )
    _REGISTERED[kind] = dict(axes)


_FOR_INSTANCE = 'For a weight of shape (in, out): register_layer(MyLinear, {"weight": "io"}).'


def _is_name(key: object) -> bool:
    return isinstance(key, str) and 0 < len(key) <= _LONGEST


_LONGEST = 1000


def _wrong_in(letters: object) -> str:
    """Why these are no axes; empty where they are."""
    if not isinstance(letters, str):
        return "no text"
    if unknown := sorted(set(letters) - set("goik")):
        return f"the letter {unknown[0]!r} is unknown"
    if twice := [axis for axis in "goi" if letters.count(axis) > 1]:
        return f"{twice[0]!r} stands there twice"
    return "" if set(letters) & set("oi") else "no axis is of outputs or inputs"


def check_registered(layers: Mapping[nn.Module, Collection[str]]) -> None:
    """Raise :class:`PlanError` for a registered name that no layer of its kind has.

    ``layers``: the names of all parameters within each module of a network, from there.
    """
    met: dict[type[nn.Module], set[str]] = {}
    for layer, names in layers.items():
        kind = next((base for base in type(layer).__mro__ if base in _REGISTERED), None)
        if kind is not None:
            met.setdefault(kind, set()).update(names, layer._parameters)
    for kind, names in met.items():
        for key in _REGISTERED[kind]:
            if not any(fnmatchcase(name, key) for name in names):
                known = sorted(names)
                raise PlanError(
                    f"register_layer was told of a parameter that {kind.__name__} does not have",
                    got=repr(key),
                    expected=f"names of its parameters, such as {', '.join(known[:6]) or '(none)'}",
                    remedy=did_you_mean(key, known) + f"Call register_layer({kind.__name__}, …) "
                    "again with its own names.",
                )


_REGISTERED: dict[type[nn.Module], Mapping[str, str]] = {}

_KNOWN_BY_NAME: Mapping[str, Mapping[str, str]] = {
    "transformers.pytorch_utils.Conv1D": {"weight": "io"},
    "torch_geometric.nn.dense.linear.Linear": {"weight": "oi"},
    "keras.src.layers.core.dense.Dense": {"*kernel": "io"},
}
"""Layers of other packages, which need not be installed."""


def describe(model: nn.Module, path: str) -> Description:
    """The role and layout of the parameter that ``model`` has at ``path``."""
    *steps, name = path.split(".")
    chain = [model, *_on_the_way(model, steps)]
    return _described(chain, steps, name, tuple(model.get_parameter(path).shape))


def registered_kind(model: nn.Module, path: str) -> type[nn.Module] | None:
    """The class of the layer under which a parameter is registered; None where it is not."""
    *steps, name = path.split(".")
    found = _registered([model, *_on_the_way(model, steps)], steps, name)
    return found and found[0]


def _on_the_way(model: nn.Module, steps: Sequence[str]) -> Iterator[nn.Module]:
    for step in steps:
        model = model.get_submodule(step)
        yield model


def _described(
    chain: Sequence[nn.Module], steps: Sequence[str], name: str, shape: tuple[int, ...]
) -> Description:
    """Of the parameter ``name`` of the last of these modules; ``steps`` lead from the first."""
    source = source_of(chain, steps, name)
    if source is not None:
        return _computed_from(source, chain, steps, shape)
    owner = chain[-1]
    found = _registered(chain, steps, name)
    if found is not None:
        return Description(Role.WEIGHT, _named(found[1], owner, name, shape), 0, name)
    role, layout = _of_layer(owner, name, shape)
    return Description(role, layout, 0, name)


def _of_layer(module: nn.Module, name: str, shape: tuple[int, ...]) -> tuple[Role, Layout]:
    if _is_norm(module):
        return Role.NORM, _plain(shape)
    name = name.rpartition("/")[2]  # Keras has whole paths in it
    if name.startswith("bias") or "bias" in name.split("_"):
        return Role.BIAS, _plain(shape)
    for kinds, names, role, layout in _LAYERS:
        if isinstance(module, kinds) and any(fnmatchcase(name, known) for known in names):
            return role, layout(module, shape)
    is_table = "embed" in name or "token" in name  # of positions, classes, masks
    return Role.EMBEDDING if is_table else Role.OTHER, _plain(shape)


def _is_norm(module: nn.Module) -> bool:
    """Whether it is one of PyTorch's, or is called one and holds scales and shifts alone."""
    if isinstance(module, NORMS):
        return True
    is_called = search(r"Norm(alization)?(?![a-z])", type(module).__name__)
    own = [p for p in module._parameters.values() if p is not None]
    return bool(is_called) and all(max(p.shape, default=1) == p.numel() for p in own)


def _computed_from(
    source: Source, chain: Sequence[nn.Module], steps: Sequence[str], shape: tuple[int, ...]
) -> Description:
    cut = len(chain) - source.up
    whole = _described(chain[:cut], steps[: cut - 1], source.weight, source.shape)
    role, layout, m = _ROLES.get(source.part, whole.role), _plain(shape), 1
    if source.part is WeightPart.MASKED:
        layout, m = whole.layout, whole.stands_for
    elif source.part is WeightPart.MAGNITUDE and role in (Role.WEIGHT, Role.EMBEDDING):
        layout, m = whole.layout.along(source.dim), prod(source.shape) // max(1, prod(shape))
    note = source.note or whole.note
    return Description(role, layout, source.up + whole.layer, whole.weight, note, m)


_ROLES = {
    WeightPart.DIRECTION: Role.DIRECTION,
    WeightPart.SCALE_FREE: Role.SCALE_FREE,
    WeightPart.UNKNOWN: Role.PARAMETRISED,
}
"""Where it is not the role of the weight itself."""


def _registered(
    chain: Sequence[nn.Module], steps: Sequence[str], name: str
) -> tuple[type[nn.Module], str] | None:
    """The class of the innermost layer for which it was registered, and its axes."""
    for k in reversed(range(len(chain))):
        local = ".".join([*steps[k:], name])
        names = known_axes(type(chain[k]))
        found = next((axes for key, axes in names.items() if fnmatchcase(local, key)), None)
        if found is not None:
            return type(chain[k]), found
    return None


def known_axes(kind: type) -> Mapping[str, str]:
    """What is registered of a layer, or of the nearest class that it derives from."""
    for base in kind.__mro__:
        known = _REGISTERED.get(base)
        known = known or _KNOWN_BY_NAME.get(f"{base.__module__}.{base.__qualname__}")
        if known is not None:
            return known
    return {}


def _named(axes: str, owner: nn.Module, name: str, shape: tuple[int, ...]) -> Layout:
    if len(axes) != len(shape):
        raise PlanError(
            f"the registered axes of {name!r} do not fit",
            got=f"{axes!r} for the shape {shape} in {type(owner).__name__}",
            expected=f"{len(shape)} letters",
            remedy="Call register_layer again, with one letter per axis.",
        )
    return Layout(shape, axes, tuple(range(len(shape))))


def _plain(shape: tuple[int, ...]) -> Layout:
    if not shape:
        return Layout((1,), "o", (0,))
    return Layout(shape, "o" + "k" * (len(shape) - 1), tuple(range(len(shape))))


def _linear(_: nn.Module, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, "oi", (0, 1))


def _convolution(module: nn.Module, shape: tuple[int, ...]) -> Layout:
    assert isinstance(module, _ConvNd)  # noqa: S101  (narrowing)
    g = module.groups
    return Layout((g, shape[0] // g, shape[1], prod(shape[2:])), "goik", (0, 0, 1, 2))


def _transposed(module: nn.Module, shape: tuple[int, ...]) -> Layout:
    assert isinstance(module, _ConvNd)  # noqa: S101  (narrowing)
    g = module.groups
    return Layout((g, shape[0] // g, shape[1], prod(shape[2:])), "giok", (0, 0, 1, 2))


def _embedding(_: nn.Module, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, "io", (0, 1))


def _bilinear(_: nn.Module, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, "okk", (0, 1, 2))


def _recurrent(module: nn.Module, shape: tuple[int, ...]) -> Layout:
    hidden = module.hidden_size
    assert isinstance(hidden, int)  # noqa: S101  (narrowing)
    if shape[0] % hidden:  # the projection of an LSTM: (projected, hidden)
        return Layout(shape, "oi", (0, 1))
    return Layout((shape[0] // hidden, hidden, shape[1]), "koi", (0, 0, 1))


# The order matters: a transposed convolution is a _ConvNd too. What a derived class adds to a
# layer's own parameters (a scale, a factor) is none of these.
_LAYERS: tuple[
    tuple[
        tuple[type[nn.Module], ...],
        tuple[str, ...],
        Role,
        Callable[[nn.Module, tuple[int, ...]], Layout],
    ],
    ...,
] = (
    ((_ConvTransposeNd,), ("weight",), Role.WEIGHT, _transposed),
    ((_ConvNd,), ("weight",), Role.WEIGHT, _convolution),
    ((nn.Linear,), ("weight",), Role.WEIGHT, _linear),
    ((nn.MultiheadAttention,), ("*_proj_weight",), Role.WEIGHT, _linear),
    ((nn.Bilinear,), ("weight",), Role.WEIGHT, _bilinear),
    ((RNNBase, RNNCellBase), ("weight_*",), Role.WEIGHT, _recurrent),
    ((nn.Embedding, nn.EmbeddingBag), ("weight",), Role.EMBEDDING, _embedding),
)
