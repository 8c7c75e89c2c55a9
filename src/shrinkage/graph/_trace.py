"""Running a network once and seeing which units its parts belong to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from shrinkage.graph.call import (
    Call,
    Interpreter,
    NetworkError,
    UnknownFunctionError,
    UnknownStructureError,
    by_rule,
    replaced,
    returned,
    running,
    tensors,
)
from shrinkage.graph.constants import at_every_size
from shrinkage.graph.functions import Kind
from shrinkage.graph.label_rules import RULES
from shrinkage.graph.labels import LabelledCall, UnitLabels
from shrinkage.graph.record import Channelwise, Op, Recording
from shrinkage.graph.units import NONE, Units
from shrinkage.graph.wrappers import running_eagerly

Inputs = tuple[Any, ...]
_LAYERS = (
    nn.Linear,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
"""Whose forward is known: a subclass may leave a bias out of it."""


class CallError(NetworkError):
    """What torch has raised in a call of the network's, with what had been seen until then."""

    def __init__(self, record: Recording) -> None:
        super().__init__("a call failed")
        self.record = record


@contextmanager
def unfrozen(model: nn.Module) -> Iterator[None]:
    """All parameters have gradients, inside."""
    frozen = [p for p in model.parameters() if p.is_floating_point() and not p.requires_grad]
    try:
        for p in frozen:
            p.requires_grad_(True)
        yield
    finally:
        for p in frozen:
            p.requires_grad_(False)


def trace(
    model: nn.Module,
    inputs: Inputs,
    *,
    units: Units | None = None,
    outputs: Mapping[str, Tensor] | None = None,
    labels: Tensor | None = None,
) -> tuple[Recording, Units]:
    """Run ``model`` on ``inputs`` and note what every call does with its units.

    ``outputs``: labels of the output units by weight, where they are known already; ``labels``:
    those of the first input's elements (without the batch). What the network returns must stay.
    Modes are the caller's business. Raises :class:`UnknownStructureError` where the way through
    the network depends on its input, and for scripted networks; :class:`NetworkError` where the
    network itself raises.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise UnknownStructureError("scripted networks cannot be seen through")
    tracer = Tracer(model, units or Units(), outputs)
    with running(), running_eagerly(), tracer.watching(model), torch.enable_grad(), tracer:
        result = model(*tracer.taken(inputs, labels))
    if tracer.unknown:
        raise UnknownStructureError(tracer.unknown)
    ends = list(returned(result))
    if not ends:
        raise UnknownStructureError("the network returns no tensor, by which it could be compared")
    tracer.finish(ends)
    return tracer.record, tracer.units


class Tracer(Interpreter):
    """Labels every tensor that comes from the input, see :mod:`labels`."""

    def __init__(
        self, model: nn.Module, units: Units, outputs: Mapping[str, Tensor] | None
    ) -> None:
        super().__init__()
        self.units, self.record, self.unknown = units, Recording(), ""
        self._labels = WeakTensorKeyDictionary()
        self._modules = dict(model.named_modules())
        self._outputs = dict(outputs or {})
        self._names: dict[int, list[str]] = {}
        self._computed: set[str] = set()
        self._path: list[str] = []
        self._alive: list[Tensor] = []
        self._made: dict[Any, Tensor] = {}
        for named in (model.named_parameters, model.named_buffers):
            for name, tensor in named(remove_duplicate=False):
                self._names.setdefault(id(tensor), []).append(name)
                self._alive.append(tensor)

    def taken(self, inputs: Inputs, labels: Tensor | None) -> Inputs:
        """The inputs with their labels, and gradients, so that custom functions are seen."""
        inputs = tuple(
            replaced(v, lambda t: t.clone().requires_grad_(t.is_floating_point()).clone())
            for v in inputs
        )
        for k, tensor in enumerate(tensors(inputs)):
            units = UnitLabels.of_nobody(tensor.shape)
            if labels is not None and k == 0:
                units = UnitLabels(labels.expand(tensor.shape).double(), units.varies)
            self._labels[tensor] = units
        return inputs

    def meet(self, call: Call) -> Any:
        """Call the function, and say what its result comes from."""
        read = list(tensors(call.args, call.kwargs))
        self._meet_custom(read)
        units = {id(t): self._labels[t] for t in read if t in self._labels}
        if call.kind is Kind.FACT and not call.is_attribute:
            return call.func(*call.args, **call.kwargs)
        if units:
            return self._follow(call, read, units)
        result = call.func(*call.args, **call.kwargs)
        if isinstance(result, Tensor | list | tuple):
            self._note_computed(read)
        return result

    def _follow(self, call: Call, read: list[Tensor], units: dict[int, UnitLabels]) -> Any:
        if call.kind is Kind.VALUE and any(bool(u.varies.any()) for u in units.values()):
            self._give_up(call.name)
        try:
            result = call.func(*call.args, **call.kwargs)
        except Exception as error:
            raise CallError(self.record) from error
        self._take_in(LabelledCall(**vars(call), result=result, units=units), read)
        return result

    def _take_in(self, call: LabelledCall, read: list[Tensor]) -> None:
        if call.result is None:  # it wrote into what it read
            self._keep_what_went_into(replace(call, result=read))
            self._forget_aliases(read[0])
        elif any(True for _ in tensors(call.result)):
            self._label(call)
        elif isinstance(call.result, bool | int | float):
            is_fact = call.kind is Kind.VALUE or call.is_attribute  # of a constant; the shape
            if not is_fact:
                self._give_up(call.name)

    def _label(self, call: LabelledCall) -> None:
        """Label what a call returned."""
        found = list(tensors(call.result))
        made = self._made_by(call, found)
        for tensor, units in zip(found, made, strict=True):
            self._labels[tensor] = units
            if tensor.grad_fn is not None:
                self._made[tensor.grad_fn] = units.labels
        if call.in_place:
            self._forget_aliases(found[0])
        ins = tuple(units.labels for units in call.units.values())
        outs = tuple(units.labels for units in made)
        self.record.ops.append(Op(call.name, self.where, ins, outs))

    def _made_by(self, call: LabelledCall, found: list[Tensor]) -> list[UnitLabels]:
        with suppress(UnknownFunctionError):
            return by_rule(_by_kind, call, self)
        self._keep_what_went_into(call)
        return [self._labels[tensor] for tensor in found]

    def _keep_what_went_into(self, call: LabelledCall) -> None:
        """Of a call that is not followed; what comes out is nobody's."""
        self._note_computed([t for t in tensors(call.args, call.kwargs) if call.of(t) is None])
        where = self.where or "the network"
        for units in call.known:
            self.units.keep(units.labels, f"{where}: {call.name or 'a function'} is not followed")
        for tensor in tensors(call.result):
            self._labels[tensor] = UnitLabels.of_nobody(tensor.shape)

    def _give_up(self, name: str) -> None:
        self.unknown = self.unknown or f"{self.where or 'the network'} reads values ({name})"
        raise UnknownStructureError(self.unknown)

    def name_of(self, tensor: Tensor | None) -> str | None:
        """The one name of a parameter or buffer."""
        names = [] if tensor is None else self._names.get(id(tensor), [])
        return names[0] if len(names) == 1 else None

    def outputs_of(self, weight: str, count: int) -> Tensor:
        """Fresh labels at a weight's first use, the same ones later."""
        if weight not in self._outputs:
            self._outputs[weight] = self.units.fresh(count)
        return self._outputs[weight]

    def takes_bias(self, weight: str) -> bool:
        """Whether torch's own layer without a bias runs with its own weight."""
        owner = self._modules[self.where]
        is_its_own = weight == f"{self.where}.weight".strip(".")
        return is_its_own and type(owner) in _LAYERS and owner.bias is None

    def note(self, name: str, dim: int, labels: Tensor) -> None:
        """Keep that a parameter or buffer has one entry per unit."""
        self.record.channelwise.append(Channelwise(name, dim, labels))

    @property
    def where(self) -> str:
        """The innermost module that is running."""
        return self._path[-1] if self._path else ""

    def finish(self, ends: list[Tensor]) -> None:
        """Keep what is returned, and what is also read otherwise; join what one tensor is for."""
        self._meet_custom(ends)
        for tensor in ends:
            if tensor in self._labels:
                self.units.keep(self._labels[tensor].labels, "an output of the network")
        axes: dict[tuple[str, str], Tensor] = {}
        rows: list[tuple[str, str, Tensor]] = []
        for layer in self.record.layers:
            rows += [(layer.weight, "in", layer.inputs), (layer.weight, "out", layer.outputs)]
            if layer.bias is not None:
                rows.append((layer.bias, "0", layer.outputs))
        rows += [(c.name, str(c.dim), c.labels) for c in self.record.channelwise]
        for name, axis, labels in rows:
            if name in self._computed:
                self.units.keep(labels, f"{name} is also used in another way")
            first = axes.setdefault((name, axis), labels)
            if first.shape != labels.shape:
                self.units.keep(torch.cat([first, labels]), f"{name} is used in two ways")
                continue
            self.units.join(first, labels)
            lone = (first == NONE) != (labels == NONE)
            self.units.keep(torch.cat([first[lone], labels[lone]]), f"{name} is used twice")

    def _note_computed(self, read: list[Tensor]) -> None:
        """Parameters that are read by something else than the rules cannot be cut."""
        self._computed.update(n for t in read for n in self._names.get(id(t), ()))

    def _forget_aliases(self, written: Tensor) -> None:
        """Other views of memory that was written may hold anything now."""
        where = written.untyped_storage().data_ptr()
        for other, units in list(self._labels.items()):  # type: ignore[no-untyped-call]
            if other is not written and other.untyped_storage().data_ptr() == where:
                if other.shape == written.shape and other.stride() == written.stride():
                    self._labels[other] = self._labels[written]
                    continue
                self.units.keep(units.labels, "written through a view")
                self._labels[other] = UnitLabels.of_nobody(other.shape)

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Know which module runs, and let all parameters be learnt, inside."""
        handles = []
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(self._entering(name), prepend=True))
            handles.append(module.register_forward_hook(self._leaving, always_call=True))
        try:
            with unfrozen(model):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _entering(self, name: str) -> Any:
        def hook(*_: object) -> None:
            self._path.append(name)

        return hook

    def _leaving(self, *_: object) -> None:
        self._path.pop()

    def _meet_custom(self, read: list[Tensor]) -> None:
        """What a custom autograd function has read stays: its backward may be anything."""
        for tensor in read:
            node = tensor.grad_fn
            if node is None or not hasattr(node, "_forward_cls"):
                continue
            name = node._forward_cls.__name__
            why = f"{self.where or 'the network'}: {name} is a custom autograd function"
            for parent, _ in node.next_functions:
                if parent in self._made:
                    self.units.keep(self._made[parent], why)
                if parent is not None and hasattr(parent, "variable"):
                    self._note_computed([parent.variable])
            if tensor in self._labels:
                self.units.keep(self._labels[tensor].labels, why)
            self._labels[tensor] = UnitLabels.of_nobody(tensor.shape)


def _by_kind(call: LabelledCall, tracer: Tracer) -> list[UnitLabels]:
    if call.kind not in RULES:
        raise UnknownFunctionError(call.name)
    made = RULES[call.kind](call, tracer)
    if [u.labels.shape for u in made] != [t.shape for t in tensors(call.result)]:
        raise UnknownFunctionError(f"{call.name} of another shape")
    return at_every_size(call, made)
