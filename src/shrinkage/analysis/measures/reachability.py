"""Which inputs, filters and neurons lie on a path of nonzero weights."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd

from shrinkage.errors import told
from shrinkage.graph.call import NetworkError, UnknownFunctionError, returned, running
from shrinkage.graph.mark_rules import RULES
from shrinkage.graph.marks import Marking, is_closed, is_marked
from shrinkage.graph.untouched import home, untouched
from shrinkage.graph.wrappers import canonical, running_eagerly

_UNITS: tuple[type[nn.Module], ...] = (_ConvNd, nn.Linear)


@dataclass(frozen=True, eq=False)
class Reach:
    """What is used, by structure: True where a path of nonzero weights from input to output is.

    ``inputs`` has the shape of one input. ``units`` maps the name of every convolution and linear
    layer to one entry per output unit (filter, neuron); layers that are not called as modules
    are left out. A unit off every path may still put out a constant (its bias).
    """

    inputs: Tensor
    units: Mapping[str, Tensor]

    @property
    def n_inputs_unused(self) -> int:
        """Number of inputs on no path."""
        return int((~self.inputs).sum())

    @property
    def n_dead_units(self) -> int:
        """Number of filters and neurons on no path, over all layers."""
        return sum(int((~alive).sum()) for alive in self.units.values())


def reach(model: nn.Module, input_shape: tuple[int, ...]) -> Reach | None:
    """Which inputs and units lie on a path of nonzero weights from input to output.

    The network runs once, on two inputs of ``input_shape`` (without the batch dimension), with
    every function replaced by its wiring (``graph/marks.py``), so that residuals, concatenations,
    groups and reshapes need no graph of their own. An input is used where the output has a
    gradient with respect to it; a unit is alive where, at one of its positions, it is reached
    from the input and the output is reached from it. It is structure, not behaviour: weights
    that cancel each other and neurons that a ReLU silences for all data still count as paths;
    nothing that matters is ever called unused.

    None where the wiring is not known: inputs that are not float (embeddings), recurrent layers,
    custom autograd functions, branches on values (``if x.sum() > 0``), unusual functions.
    Scripted networks are not seen through, and give None. The network stays as it is.
    """
    return reach_or_why(model, input_shape)[0]


def reach_or_why(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[Reach | None, str]:
    """What :func:`reach` finds, and where that is nothing the reason."""
    try:
        return _reach(model, input_shape), "scripted, or without an output that can be followed"
    except UnknownFunctionError as error:
        return None, told(error)
    except NetworkError as error:
        return None, told(error.cause)


def _reach(model: nn.Module, input_shape: tuple[int, ...]) -> Reach | None:
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        return None
    device, dtype = home(model)
    calls: dict[str, list[Tensor]] = {}
    units: dict[str, Tensor] = {}
    with (
        _recorded(model, calls, units),
        untouched(model),
        running_eagerly(),
        torch.inference_mode(mode=False),
        torch.enable_grad(),
    ):
        leaf = torch.ones(2, *input_shape, device=device, dtype=dtype, requires_grad=True)
        state = {name: p.detach().clone() for name, p in model.named_parameters()}
        with running(), Marking(RULES) as marking:
            output = functional_call(model, state, (leaf.clone(),))
        if marking.unknown is not None:  # and a network that has caught it goes another way
            raise marking.unknown
        ends = [tensor for tensor in returned(output) if is_marked(tensor)]
        if not is_closed(ends, leaf):
            return None
        used, gradients = _gradients(ends, leaf, calls)
    for name, outputs in calls.items():
        for marks, gradient in zip(outputs, gradients[name], strict=True):
            alive = (marks.detach() != 0) & (gradient != 0)
            units[name] |= alive.reshape(len(alive), -1).any(dim=1).cpu()
    return Reach(inputs=(used != 0).any(dim=0).cpu(), units=units)


@contextmanager
def _recorded(
    model: nn.Module, calls: dict[str, list[Tensor]], units: dict[str, Tensor]
) -> Iterator[None]:
    """Inside, the marks that layers put out are noted."""
    handles = [
        module.register_forward_hook(_recorder(canonical(name) if name else "", calls, units))
        for name, module in model.named_modules()
        if isinstance(module, _UNITS)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _recorder(
    name: str, calls: dict[str, list[Tensor]], units: dict[str, Tensor]
) -> Callable[[nn.Module, object, Tensor], Tensor]:
    def record(module: nn.Module, _: object, output: Tensor) -> Tensor:
        if not isinstance(output, Tensor):
            raise UnknownFunctionError(f"{name} returns no tensor")
        axis = -1 - (len(module.kernel_size) if isinstance(module, _ConvNd) else 0)
        units.setdefault(name, torch.zeros(output.shape[axis], dtype=torch.bool))
        if not is_marked(output):
            return output
        calls.setdefault(name, []).append(output.movedim(axis, 0))
        return calls[name][-1].movedim(0, axis).clone()  # later writes do not reach the record

    return record


def _gradients(
    ends: list[Tensor], leaf: Tensor, calls: dict[str, list[Tensor]]
) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """The gradient of the summed output for the input, and for every recorded output."""
    flat = [tensor for outputs in calls.values() for tensor in outputs]
    if not ends:
        return torch.zeros_like(leaf), {
            name: [torch.zeros_like(t) for t in outputs] for name, outputs in calls.items()
        }
    total = torch.stack([end.sum() for end in ends]).sum()
    first, *others = torch.autograd.grad(
        total, [leaf, *flat], allow_unused=True, materialize_grads=True
    )
    rest = iter(others)
    return first, {name: [next(rest) for _ in outputs] for name, outputs in calls.items()}
