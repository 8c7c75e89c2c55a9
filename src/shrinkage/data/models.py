"""Small reference networks, and how a user's own network is found, built and checked."""

import hashlib
import importlib.util
import inspect
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Literal

import cloudpickle
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakTensorKeyDictionary

from shrinkage.arguments import as_number, check_type
from shrinkage.data import Spec
from shrinkage.errors import RAISED, ModelError, did_you_mean, foreign_code, shown, warn

Factory = Callable[..., nn.Module]
_NEAR_ONE = 1e-4


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
    {
        "linear": linear,
        "mlp": mlp,
        "cnn": cnn,
        "lenet-300-100": lenet_300_100,
        "lenet-5": lenet_5,
    }
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


def load_object(reference: str) -> Callable[..., Any]:
    """The callable NAME of ``FILE.py:NAME``; modules beside the file can be imported by it.

    A file is run once for each content it has. Its objects, and those of the modules beside it,
    are pickled by value with cloudpickle, so that worker processes need no path to them.
    Raises :class:`ModelError` for a file that is missing or cannot be imported (with the original
    error), and a name that is missing or cannot be called.
    """
    check_type("this is no reference to code", reference, str, expected="FILE.py:NAME",
               remedy="For instance nets.py:make_net.", error=ModelError)  # fmt: skip
    file, colon, name = reference.rpartition(":")
    if not colon or not file.endswith(".py") or not name:
        raise ModelError(
            "not a reference to an object in a file",
            got=shown(reference),
            expected="FILE.py:NAME",
            remedy="For instance nets.py:make_net.",
        )
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise ModelError(
            "file not found",
            got=shown(file),
            expected="a Python file that exists",
            remedy=did_you_mean(path.name, beside) + "Check the path.",
        )
    module = _import(path)
    found = getattr(module, name, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise ModelError(
            f"{path.name} has no callable {name!r}",
            got="no such name" if found is None else f"a {type(found).__name__}",
            expected=f"one of {', '.join(known) or '(nothing callable in this file)'}",
            remedy=did_you_mean(name, known) + "Check the spelling.",
        )
    return found  # type: ignore[no-any-return]


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
    try:
        return "dropout" in inspect.signature(factory).parameters
    except (TypeError, ValueError):  # some callables written in C do not tell
        return False


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


def check_output(
    model: nn.Module,
    spec: Spec,
    task: Literal["classification", "regression"],
    *,
    ids: bool = False,
    free: bool = False,
) -> Tensor:
    """What the network puts out for two rows of zeros in eval mode; it is left as it was.

    ``ids``: the zeros are integers. ``free``: a loss of the user's own takes what it likes, and
    outputs are any two rows. Raises :class:`ModelError` where that fails, or gives anything but
    finite (2, n_outputs).
    """
    first = next(iter(model.parameters()), torch.zeros(()))
    kind = torch.int64 if ids else first.dtype
    zeros = torch.zeros(2, *spec.input_shape, device=first.device, dtype=kind)
    with (
        _eval_mode(model),
        torch.no_grad(),
        foreign_code(
            lambda got: ModelError(
                f"{type(model).__name__} cannot take these inputs",
                got=got,
                expected=f"a network for batches (n, {', '.join(map(str, spec.input_shape))})",
                remedy="Build it from the spec: n_inputs, input_shape, n_outputs.",
            )
        ),
    ):
        out = model(zeros)
    expected = (2, spec.n_outputs)
    unit = "one logit per class" if task == "classification" else "one number per target"
    fits = isinstance(out, Tensor) and (
        out.shape[:1] == (2,) if free else tuple(out.shape) == expected
    )
    of_two = task == "classification" and spec.n_outputs == 2
    is_logit = of_two and isinstance(out, Tensor) and tuple(out.shape) in ((2,), (2, 1))
    if not fits or not isinstance(out, Tensor):
        raise ModelError(
            f"{type(model).__name__} has a wrong output",
            got=f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__,
            expected=f"a tensor of shape {expected} for 2 examples, {unit}",
            remedy=f"End the network with {spec.n_outputs} outputs (spec.n_outputs)."
            + (" For one logit of two classes pass loss=nn.BCEWithLogitsLoss()." * is_logit),
        )
    if not bool(out.isfinite().all()):
        raise ModelError(
            f"{type(model).__name__} has an output that is not finite",
            got=f"{int((~out.isfinite()).sum())} NaN or infinite values for inputs of zeros",
            expected="finite numbers",
            remedy="Look at the initial weights, and for a division or logarithm of zero.",
        )
    return out


def reads_ids(model: nn.Module, x: Tensor) -> bool:
    """Whether the network reads whole numbers ``x`` as ids: of tokens, of levels of a category.

    It does where it takes no floats (an embedding), or takes them for the whole numbers below
    (``x.long()``): x + ¼ then gives what x gives. Told at random parameters, so that layers of
    zeros do not hide it.
    """
    with _eval_mode(model), torch.no_grad():
        try:
            by_numbers = [_at_random(model, x.float() + shift) for shift in (0.0, 0.25)]
        except RAISED:  # of whatever it is made
            by_numbers = []
        try:
            by_ids = _at_random(model, x.long())
        except RAISED:
            return False
    return not by_numbers or (torch.equal(*by_numbers) and torch.equal(by_numbers[0], by_ids))


def columns_of_ids(model: nn.Module, x: Tensor) -> list[int]:
    """Columns of a table that the network casts to whole numbers, as those of an embedding beside
    others that are quantities; none where there is no embedding.

    There ``x`` and x + ¼ are the same to it.
    """
    if not any(isinstance(layer, nn.Embedding | nn.EmbeddingBag) for layer in model.modules()):
        return []
    with _eval_mode(model), torch.no_grad():
        try:
            usual = _at_random(model, x)
            quarters = 0.25 * torch.eye(x.shape[1]).to(x)
            shifted = [_at_random(model, x + quarter) for quarter in quarters]
        except RAISED:  # of whatever it is made
            return []
    return [k for k, other in enumerate(shifted) if torch.equal(usual, other)]


def _at_random(model: nn.Module, x: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    parameters = {
        name: torch.randn(p.shape, generator=generator).to(p)
        for name, p in model.named_parameters()
    }
    output: Tensor = functional_call(model, parameters, (x,))
    return output


def warn_of_probabilities(outputs: Tensor) -> None:
    """Warn (:class:`ShrinkageWarning`) where each row of what cross-entropy takes sums to 1.

    >>> warn_of_probabilities(torch.tensor([[0.5, -1.0]]))  # logits
    """
    sums = outputs.double().sum(dim=1)
    if bool((outputs >= 0).all()) and bool(((sums - 1).abs() <= _NEAR_ONE).all()):
        warn(
            "the network's outputs are probabilities, as behind a Softmax, and cross-entropy takes "
            "them for logits: behind its own softmax no prediction can be sure, and training is "
            "slow and blunt. Return logits (leave the Softmax out), or pass a loss of your own in "
            "Python, such as loss=lambda p, y: nll_loss(p.log(), y)",
        )


def warn_of_logits(outputs: Tensor) -> None:
    """Warn (:class:`ShrinkageWarning`) where rows for ``nn.NLLLoss`` are no log-probabilities.

    >>> warn_of_logits(torch.tensor([[0.5, -1.0]]).log_softmax(dim=1))
    """
    if not bool((outputs.double().logsumexp(dim=1).abs() <= _NEAR_ONE).all()):
        warn(
            "the network's outputs are no log-probabilities, as behind a LogSoftmax, and without "
            "it nn.NLLLoss has no minimum. Take nn.CrossEntropyLoss(), or let the network end in "
            "nn.LogSoftmax(dim=1)",
        )


def check_state(model: nn.Module) -> None:
    """Raise :class:`ModelError` unless the state of the network can be stored: tensors only."""
    others = [(k, v) for k, v in model.state_dict().items() if not isinstance(v, Tensor)]
    if others:
        name, value = others[0]
        raise ModelError(
            f"the state of {type(model).__name__} cannot be stored",
            got=f"{name!r} ({type(value).__name__}) in its state_dict",
            expected="only tensors, which are stored without pickles",
            remedy="Let get_extra_state return a tensor, or keep it out of the state.",
        )


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
    return as_number(
        "dropout",
        p,
        least=0,
        below=1,
        expected="a probability, 0 ≤ p < 1",
        remedy="0 switches it off, 0.5 is usual.",
        error=ModelError,
    )


def _dropout_layers(model: nn.Module) -> list[nn.modules.dropout._DropoutNd]:
    return [m for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]


def _name(factory: Factory) -> str:
    return getattr(factory, "__name__", type(factory).__name__)


def _arguments(
    factory: Factory, spec: Spec, dropout: float | None
) -> tuple[tuple[Spec, ...], dict[str, float]]:
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # some callables written in C do not tell
        return (spec,), {}
    kwargs = {} if dropout is None or "dropout" not in parameters else {"dropout": dropout}
    open_ones = [
        p
        for key, p in parameters.items()
        if key not in kwargs and p.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    needed = [
        p
        for p in open_ones
        if p.default is inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_POSITIONAL
    ]
    keyword_only = any(p.kind is inspect.Parameter.KEYWORD_ONLY for p in needed)
    if len(needed) > 1 or keyword_only:
        raise ModelError(
            f"the factory {_name(factory)} takes too many arguments",
            got=f"required: {', '.join(p.name for p in needed)}",
            expected="no argument, or one spec (n_inputs, input_shape, n_outputs)",
            remedy="Wrap it: lambda spec: MyNetwork(spec.n_inputs, spec.n_outputs).",
        )
    takes_spec = bool(needed) or any(
        p.kind is inspect.Parameter.VAR_POSITIONAL or (i == 0 and p.name == "spec")
        for i, p in enumerate(open_ones)
    )
    return ((spec,) if takes_spec else ()), kwargs


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards every layer, frozen ones too, is as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _import(path: Path) -> ModuleType:
    """The module of a file; its name holds a hash of path and content."""
    content = path.read_bytes()
    tag = hashlib.sha256(str(path).encode() + b"\0" + content).hexdigest()[:12]
    name = f"{path.stem}_{tag}"
    if name in sys.modules:
        return sys.modules[name]
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:  # pragma: no cover - a .py file always has one
        raise ImportError(path)
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    before = set(sys.modules)
    try:
        with (
            _importable(path.parent),
            foreign_code(
                lambda got: ModelError(
                    f"{path.name} cannot be imported",
                    got=got,
                    expected="a file that runs without error",
                    remedy="Run it with python to see the whole traceback.",
                )
            ),
        ):
            found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    cloudpickle.register_pickle_by_value(module)
    for other in set(sys.modules) - before:
        if _is_beside(path.parent, other):
            cloudpickle.register_pickle_by_value(sys.modules[other])
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make the modules of a folder importable, after all others."""
    if str(folder) in sys.path:
        yield
        return
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _is_beside(folder: Path, name: str) -> bool:
    """Is it a top-level module or package that lies in this very folder?"""
    file = getattr(sys.modules[name], "__file__", None)
    homes = (folder / f"{name}.py", folder / name / "__init__.py")
    return file is not None and Path(file).resolve() in homes
