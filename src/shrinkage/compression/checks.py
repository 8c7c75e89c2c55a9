"""What compaction takes: a network in eval mode of finite weights, and inputs that it takes."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from shrinkage.errors import RAISED, CompactionError, told
from shrinkage.graph import Inputs
from shrinkage.graph.call import returned, tensors
from shrinkage.graph.examples import fault_of
from shrinkage.graph.untouched import home


def as_inputs(model: nn.Module, given: Any) -> Inputs:
    """What a network is called with: a tuple as it is, or one value.

    A mapping by names of the forward's arguments, as tokenizers make them, becomes a tuple, with
    defaults in between.
    """
    if given is None:
        raise CompactionError(
            "there are no example inputs",
            got="None",
            expected="one batch of what the network takes",
            remedy="Call compact(model, x), with x such as the first rows of the data.",
        )
    if isinstance(given, tuple):
        return given
    if not isinstance(given, Mapping) or not isinstance(model, nn.Module):
        return (given,)
    known = inspect.signature(model.forward).parameters
    places = {n: p.default for n, p in known.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    return _in_order(given, places) if given and set(given) <= set(places) else (given,)


def _in_order(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> Inputs:
    """Values by name as a tuple, as far as the last of them."""
    names = list(defaults)
    names = names[: max(map(names.index, given)) + 1]
    values = {name: given.get(name, defaults[name]) for name in names}
    missing = [name for name, value in values.items() if value is inspect.Parameter.empty]
    if missing:
        raise CompactionError(
            "the network does not take the example inputs",
            got=f"no {missing[0]!r}",
            expected=f"a value for each of {', '.join(names)} that has no default",
            remedy="Add it, or pass a tuple of what the network takes.",
        )
    return tuple(values.values())


def check(model: nn.Module, inputs: Inputs) -> None:
    """Raise :class:`CompactionError` for what is no network in eval mode with finite weights."""
    if isinstance(model, torch.fx.GraphModule) and "eval" in vars(model):
        raise CompactionError(
            "exported programs have no layers to cut",
            got="what torch.export has made",
            expected="the network before it was exported",
            remedy="Compact that, then export the compact one: compact(…).export(path).",
        )
    _check_weights(model)
    training = [name or "the network" for name, m in model.named_modules() if m.training]
    if training:
        raise CompactionError(
            "the network is in training mode",
            got=f"{training[0]} in training mode",
            expected="a network in eval mode, whose normalisation and dropout are fixed",
            remedy="Call model.eval() first.",
        )
    _check_inputs(model, inputs)


def _check_weights(model: nn.Module) -> None:
    for name, module in model.named_modules():
        kind = type(module)
        if kind.__module__.startswith("torch.ao.nn") and ".quantized" in kind.__module__:
            raise _quantised(name, f"{kind.__module__}.{kind.__name__}")
    for name, t in {**dict(model.named_parameters()), **dict(model.named_buffers())}.items():
        _check_kind(name, t)
        if (t.is_floating_point() or t.is_complex()) and not bool(t.isfinite().all()):
            raise CompactionError(
                "the network has weights that are not finite",
                got=f"NaN or infinity in {name!r}",
                expected="finite numbers",
                remedy="Train again: the fit has diverged.",
            )


def _check_kind(name: str, t: Tensor) -> None:
    """Refuse what is no ordinary tensor with values."""
    if is_lazy(t):
        raise CompactionError(
            "the network has no weights yet",
            got=f"{name!r} of a lazy layer that has not seen an input",
            expected="a trained network",
            remedy="Run it once: model(*example_inputs); then train it.",
        )
    if t.is_quantized or type(t).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        raise _quantised(name, str(t.dtype) if t.is_quantized else type(t).__name__)
    if t.device.type == "meta":
        raise _unreadable(
            f"{name!r} on the device meta, without values",
            "Load the trained weights: model.to_empty(device='cpu'), then load_state_dict.",
        )
    if t.layout != torch.strided:
        raise _unreadable(
            f"{name!r} in the layout {t.layout}",
            f"Make it dense: nn.Parameter(model.get_parameter({name!r}).to_dense()).",
        )


def _unreadable(got: str, remedy: str) -> CompactionError:
    return CompactionError(
        "the network's weights cannot be read", got=got, expected="ordinary tensors", remedy=remedy
    )


def _quantised(name: str, kind: str) -> CompactionError:
    return CompactionError(
        "the network is quantised, or its weights are of another special kind",
        got=f"{kind} at {name or 'the network itself'!r}",
        expected="a network of floating-point weights in ordinary tensors",
        remedy="Compact the network before it is quantised; then quantise the compact one.",
    )


def _check_inputs(model: nn.Module, inputs: Inputs) -> None:
    if not list(tensors(inputs)):
        raise CompactionError(
            "the example inputs are no tensors",
            got=", ".join(type(value).__name__ for value in inputs) or "nothing",
            expected="a tensor, a tuple of what the network takes, or a dict by its arguments",
            remedy="Pass one batch of real inputs; torch.as_tensor(x) makes one of an array.",
        )
    if fault := fault_of(inputs):
        raise CompactionError(**vars(fault))
    device, dtype = home(model)
    for tensor in tensors(inputs):
        if tensor.device != device or (tensor.is_floating_point() and tensor.dtype != dtype):
            raise CompactionError(
                "the example inputs do not fit the network",
                got=f"{tensor.dtype} on {tensor.device}",
                expected=f"{dtype} (or integers) on {device}",
                remedy="Move them: example_inputs.to(device, dtype).",
            )


def check_runs(model: nn.Module, inputs: Inputs, *, in_float64: bool = False) -> None:
    """Raise :class:`CompactionError` for inputs on which the network gives no tensors, or NaN.

    ``in_float64``: they are known to be right in the network's own dtype.
    """
    try:
        with torch.no_grad():
            outputs = list(returned(model(*inputs)))
    except RAISED as error:  # a user's network may raise anything
        if in_float64:
            raise CompactionError(
                "the network does not run in float64, in which the proof is made",
                got=told(error),
                expected="a network whose functions take float64 too",
                remedy="Let it take the dtype of its inputs. Experts of transformers do with "
                "experts_implementation='eager' in from_pretrained or from_config.",
            ) from error
        shapes = ", ".join(str(tuple(t.shape)) for t in tensors(inputs))
        raise CompactionError(
            "the network does not take the example inputs",
            got=f"{told(error)} for inputs of shape {shapes}",
            expected="one batch that the network takes",
            remedy="Pass inputs as the network sees them in use, with the batch dimension; several "
            "as a tuple, or as a dict by the names of its arguments.",
        ) from error
    if any(bool(t.isnan().any()) for t in outputs):
        raise CompactionError(
            "the network gives NaN for the example inputs",
            got="NaN among its outputs",
            expected="numbers, by which the compact network can be compared",
            remedy="Pass inputs for which the network gives an answer.",
        )
