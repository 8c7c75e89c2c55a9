"""Small reference networks, and how a user's own network is found and built."""

import inspect
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakTensorKeyDictionary

from shrinkage.arguments import BELOW_ONE, as_number, check_type
from shrinkage.data.examples import Spec
from shrinkage.data.user_code import load_object
from shrinkage.errors import ModelError, did_you_mean, foreign_code, shown

Factory = Callable[..., nn.Module]


def linear(spec: Spec) -> nn.Module:
    """W·x + b: logistic regression or least squares. Layers: flatten, out."""
    _check_spec(spec)
    return _sequential(flatten=nn.Flatten(), out=nn.Linear(spec.n_inputs, spec.n_outputs))


def mlp(spec: Spec, dropout: float = 0.0) -> nn.Module:
    """Two hidden layers of 64. Layers: flatten, fc1, relu1, dropout1, fc2, relu2, dropout2, out."""
    return _dense(spec, (64, 64), dropout)


def lenet_300_100(spec: Spec, dropout: float = 0.0) -> nn.Module:
    """LeNet-300-100 (LeCun et al. 1998): hidden layers of 300 and 100; named as in :func:`mlp`."""
    return _dense(spec, (300, 100), dropout)


def cnn(spec: Spec, dropout: float = 0.0) -> nn.Module:
    """3×3 convolutions of 16 and 32 filters, each pooled, then 128 hidden units.

    Layers: conv1, relu1, pool1, conv2, relu2, pool2, flatten, fc1, relu3, dropout, out.
    Raises :class:`ModelError` for tables and images below 4×4.
    """
    channels, height, width = _image(spec, "cnn", least=4)
    p = _checked_p(dropout)
    return _sequential(
        conv1=nn.Conv2d(channels, 16, 3, padding=1),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(16, 32, 3, padding=1),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(32 * (height // 2 // 2) * (width // 2 // 2), 128),
        relu3=nn.ReLU(),
        dropout=nn.Dropout(p),
        out=nn.Linear(128, spec.n_outputs),
    )


def lenet_5(spec: Spec, dropout: float = 0.0) -> nn.Module:
    """LeNet-5 as Caffe has it: 5×5 convolutions of 20 and 50 filters, 500 hidden units.

    Layers: conv1, pool1, conv2, pool2, flatten, dropout1, fc1, relu1, dropout2, out; as in Caffe,
    only fc1 is followed by a ReLU. Raises :class:`ModelError` for tables and images below 16×16.
    """
    channels, height, width = _image(spec, "lenet-5", least=16)
    p = _checked_p(dropout)
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
    return _sequential(
        conv1=nn.Conv2d(channels, 20, 5),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(20, 50, 5),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        dropout1=nn.Dropout(p),
        fc1=nn.Linear(50 * rows * columns, 500),
        relu1=nn.ReLU(),
        dropout2=nn.Dropout(p),
        out=nn.Linear(500, spec.n_outputs),
    )


MODELS: Mapping[str, Factory] = MappingProxyType(
    {"linear": linear, "mlp": mlp, "cnn": cnn, "lenet-300-100": lenet_300_100, "lenet-5": lenet_5}
)


def default_model(data_is_image: bool) -> str:
    """The name of the network to start with: ``"cnn"`` for images, else ``"mlp"``."""
    return "cnn" if data_is_image else "mlp"


def resolve(model: str | Factory) -> Factory:
    """The factory behind a name of :data:`MODELS`, a ``FILE.py:FACTORY``, or a callable.

    Raises :class:`ModelError` for an unknown name, and for a network instead of a factory.
    """
    if isinstance(model, str):
        if model in MODELS:
            return MODELS[model]
        if ":" in model or model.endswith(".py"):
            return load_object(model)
        raise ModelError(
            "unknown model",
            got=shown(model),
            expected=f"one of {', '.join(MODELS)}, or FILE.py:FACTORY",
            remedy=did_you_mean(model, MODELS) + "Check the spelling.",
        )
    if isinstance(model, nn.Module) or not callable(model):
        raise ModelError(
            "a model must be made anew for every fit",
            got=f"a {type(model).__name__}" + (" that exists" if callable(model) else ""),
            expected="a name, or a function that makes the network",
            remedy="Pass the class, or lambda: MyNetwork(…); to go on from its weights, weights= "
            "as well." + ("" if callable(model) else " make_model comes first, then the data."),
        )
    return model


def build(factory: Factory, spec: Spec, *, dropout: float | None = None) -> nn.Module:
    """A new network from a factory that takes nothing or one :class:`Spec`.

    The spec is passed where the first parameter is required or is called ``spec``; ``dropout``
    where it is asked for and the factory has a parameter of that name.
    Raises :class:`ModelError` for other signatures, for anything but an ``nn.Module``, and, with
    the original type and message, for any exception of the factory.
    """
    _check_spec(spec)
    if not callable(factory):
        raise ModelError(
            "the factory cannot be called",
            got=shown(factory),
            expected="a function that makes the network, or its class",
            remedy="Pass the class, or lambda: MyNetwork(…).",
        )
    args, kwargs = _arguments(factory, spec, dropout)
    with foreign_code(
        lambda got: ModelError(
            f"the factory {_name(factory)} failed",
            got=got,
            expected="a network",
            remedy=f"Call it on its own with {spec}." if args else "Call it on its own.",
        )
    ):
        model = factory(*args, **kwargs)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"the factory {_name(factory)} makes no network",
            got=f"a {type(model).__name__}",
            expected="a torch.nn.Module",
            remedy="Is a return missing?"
            if model is None
            else "Return the network, not its class or its output.",
        )
    return model


_MADE = WeakTensorKeyDictionary()
"""The trained parameters of networks that factories have made."""


def check_new(factory: Factory, model: nn.Module) -> None:
    """Raise :class:`ModelError` for a network that was made before, or shares trained weights.

    A fit would go on from where another has ended.
    """
    trained = {
        name: p for name, p in model.named_parameters() if p.requires_grad and not is_lazy(p)
    }
    again = [name for name, parameter in trained.items() if parameter in _MADE]
    if again:
        raise ModelError(
            f"the factory {_name(factory)} gives the same weights twice",
            got=f"{len(again)} of {len(trained)} parameters of a network that it has made before, "
            f"first {again[0]!r}",
            expected="new weights for every fit, which would go on from one another's",
            remedy="Make the layers inside of the factory, or return copy.deepcopy(network).",
        )
    for parameter in trained.values():
        _MADE[parameter] = True
    _part_from_others(trained.values())


def _part_from_others(parameters: Collection[nn.Parameter]) -> None:
    """Give each its own memory: what it was made from (``nn.Parameter(START)``) stays as it is."""
    shared = Counter(p.untyped_storage().data_ptr() for p in parameters)
    for parameter in parameters:
        if shared[parameter.untyped_storage().data_ptr()] == 1:
            parameter.data = parameter.data.clone()


def takes_dropout(factory: Factory) -> bool:
    """Whether the factory has a parameter called ``dropout``."""
    return "dropout" in _parameters(factory)


def set_dropout(model: nn.Module, p: float) -> int:
    """Set the probability p of every dropout layer, and return how many there are.

    Raises :class:`ModelError` unless 0 ≤ p < 1.
    """
    layers = _dropout_layers(model)
    for layer in layers:
        layer.p = _checked_p(p)
    return len(layers)


def has_dropout(model: nn.Module) -> bool:
    """Whether there is a dropout layer in the network."""
    return bool(_dropout_layers(model))


def _sequential(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _dense(spec: Spec, hidden: tuple[int, int], dropout: float) -> nn.Module:
    _check_spec(spec)
    (first, second), p = hidden, _checked_p(dropout)
    return _sequential(
        flatten=nn.Flatten(),
        fc1=nn.Linear(spec.n_inputs, first),
        relu1=nn.ReLU(),
        dropout1=nn.Dropout(p),
        fc2=nn.Linear(first, second),
        relu2=nn.ReLU(),
        dropout2=nn.Dropout(p),
        out=nn.Linear(second, spec.n_outputs),
    )


def _check_spec(spec: object) -> None:
    check_type("this is no spec", spec, Spec, expected="a Spec of the data", error=ModelError,
               remedy="For instance Spec(13, (13,), 3).")  # fmt: skip


def _image(spec: Spec, name: str, least: int) -> tuple[int, int, int]:
    _check_spec(spec)
    if len(spec.input_shape) != 3 or min(spec.input_shape[1:]) < least:
        raise ModelError(
            f"{name} cannot take these inputs",
            got=f"shape {spec.input_shape}",
            expected=f"images (channels, height, width) of at least {least}×{least} pixels",
            remedy="Use cnn for small images, and mlp for anything else.",
        )
    channels, height, width = spec.input_shape
    return channels, height, width


def _checked_p(p: float) -> float:
    return as_number("dropout", p, least=0, most=BELOW_ONE, expected="a probability, 0 ≤ p < 1",
                     remedy="0 switches it off, 0.5 is usual.", error=ModelError)  # fmt: skip


def _dropout_layers(model: nn.Module) -> list[nn.modules.dropout._DropoutNd]:
    return [m for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]


def _name(factory: Factory) -> str:
    return getattr(factory, "__name__", type(factory).__name__)


def _arguments(
    factory: Factory, spec: Spec, dropout: float | None
) -> tuple[tuple[Spec, ...], dict[str, float]]:
    parameters = _parameters(factory)
    kwargs = {} if dropout is None or "dropout" not in parameters else {"dropout": dropout}
    places = [p for key, p in parameters.items() if key not in kwargs and p.kind != p.VAR_KEYWORD]
    _check_required(factory, [p for p in places if _is_required(p)])
    return ((spec,) if _takes_spec(places) else ()), kwargs


def _parameters(factory: Factory) -> Mapping[str, inspect.Parameter]:
    """The parameters of a factory; of some callables written in C, which do not tell, a spec."""
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return inspect.signature(linear).parameters


def _is_required(p: inspect.Parameter) -> bool:
    return p.default is p.empty and p.kind != p.VAR_POSITIONAL


def _check_required(factory: Factory, required: list[inspect.Parameter]) -> None:
    """Raise :class:`ModelError` where more than a spec is asked for."""
    if len(required) > 1 or any(p.kind == p.KEYWORD_ONLY for p in required):
        raise ModelError(
            f"the factory {_name(factory)} takes too many arguments",
            got=f"required: {', '.join(p.name for p in required)}",
            expected="no argument, or one spec (n_inputs, input_shape, n_outputs)",
            remedy="Wrap it: lambda spec: MyNetwork(spec.n_inputs, spec.n_outputs).",
        )


def _takes_spec(places: list[inspect.Parameter]) -> bool:
    """Whether a spec is required, or taken: by its name, or by ``*args``."""
    is_first = [p.name for p in places[:1]] == ["spec"]
    return is_first or any(_is_required(p) or p.kind == p.VAR_POSITIONAL for p in places)
