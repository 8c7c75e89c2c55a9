"""Running a network once and seeing which units its parts belong to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from shrinkage.coupling.rules import FACTS, RULES, VALUES, OpaqueError, opaque
from shrinkage.coupling.shadows import (
    Call,
    Channelwise,
    Layer,
    Op,
    Record,
    Shadow,
    replaced,
    returned,
    tensors,
)
from shrinkage.coupling.sizes import at_every_size
from shrinkage.coupling.units import NONE, Units
from shrinkage.wrappers import running_eagerly

Inputs = tuple[Any, ...]
_LAYERS = (
    nn.Linear,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
"""Whose forward is known: a subclass may leave a bias out of it."""


class UnknownStructureError(Exception):
    """A network that cannot be followed: why."""


class CallError(Exception):
    """The network's own exception, with what had been seen until then."""

    def __init__(self, record: Record) -> None:
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
) -> tuple[Record, Units]:
    """Run ``model`` on ``inputs`` and note what every call does with its units.

    ``outputs``: labels of the output units by weight, where they are known already; ``labels``:
    those of the first input's elements (without the batch). What the network returns is pinned.
    Modes are the caller's business. Raises :class:`UnknownStructureError` where
    the way through the network depends on its input, and for scripted networks.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise UnknownStructureError("scripted networks cannot be seen through")
    tracer = Tracer(model, units or Units(), outputs)
    with running_eagerly(), tracer.watching(model), unfrozen(model), torch.enable_grad(), tracer:
        result = model(*tracer.taken(inputs, labels))
    if tracer.unknown:
        raise UnknownStructureError(tracer.unknown)
    ends = list(returned(result))
    if not ends:
        raise UnknownStructureError("the network returns no tensor, by which it could be compared")
    tracer._meet_custom(ends)
    for tensor in ends:
        shadow = tracer.shadow_of(tensor)
        if shadow is not None:
            tracer.units.pin(shadow.labels, "an output of the network")
    tracer.finish()
    return tracer.record, tracer.units


class Tracer(TorchFunctionMode):
    """Lays shadows over every tensor that comes from the input, see :mod:`shadows`."""

    def __init__(
        self, model: nn.Module, units: Units, outputs: Mapping[str, Tensor] | None
    ) -> None:
        super().__init__()
        self.units, self.record = units, Record()
        self._modules = dict(model.named_modules())
        self.shadows = WeakTensorKeyDictionary()
        self.unknown = ""
        self._outputs = dict(outputs or {})
        self._names: dict[int, list[str]] = {}
        self._computed: set[str] = set()
        self._path: list[str] = []
        self._held: list[Tensor] = []
        self._made: dict[Any, Tensor] = {}
        for named in (model.named_parameters, model.named_buffers):
            for name, tensor in named(remove_duplicate=False):
                self._names.setdefault(id(tensor), []).append(name)
                self._held.append(tensor)

    def taken(self, inputs: Inputs, labels: Tensor | None) -> Inputs:
        """The inputs with their shadows, and gradients, so that custom functions are seen."""
        inputs = tuple(
            replaced(v, lambda t: t.clone().requires_grad_(t.is_floating_point()).clone())
            for v in inputs
        )
        for k, tensor in enumerate(tensors(inputs)):
            known = labels is not None and k == 0
            own = labels.expand(tensor.shape) if known else torch.zeros(()).expand(tensor.shape)  # type: ignore[union-attr]
            self.shadows[tensor] = Shadow(own.double(), torch.ones(()).expand(tensor.shape))
        return inputs

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func``, and say what its result comes from."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        read = list(tensors(args, kwargs))
        self._meet_custom(read)
        shadows = {id(t): self.shadows[t] for t in read if t in self.shadows}
        if name in FACTS:
            return func(*args, **kwargs)
        if not shadows:
            result = func(*args, **kwargs)
            if isinstance(result, Tensor | list | tuple):
                self._note_computed(read)
            return result
        if name in VALUES and any(bool(s.varies.any()) for s in shadows.values()):
            self._give_up(name)
        ins = tuple(shadow.labels for shadow in shadows.values())
        try:
            result = func(*args, **kwargs)
        except Exception as error:
            raise CallError(self.record) from error
        if name == "__iter__":
            result = list(result)
        if not any(True for _ in tensors(result)):
            self._note_plain(name, args, read, result)
            return result
        plain, in_place = _plain(name)
        if name == "__get__":
            plain = getattr(getattr(func, "__self__", None), "__name__", "")
        call = Call(func, plain, args, kwargs, result, shadows, in_place)
        outs = self._follow(call, is_attribute=name == "__get__")
        self.record.ops.append(Op(plain, self.where, ins, outs))
        return iter(result) if name == "__iter__" else result

    def _follow(self, call: Call, *, is_attribute: bool) -> tuple[Tensor, ...]:
        """Lay shadows over what a call returned; their labels."""
        found = list(tensors(call.result))
        made = self._shadows_of(call, found, is_attribute=is_attribute)
        for tensor, shadow in zip(found, made, strict=True):
            self.shadows[tensor] = shadow
            if tensor.grad_fn is not None:
                self._made[tensor.grad_fn] = shadow.labels
        if call.in_place:
            self._forget_aliases(found[0])
        return tuple(shadow.labels for shadow in made)

    def _shadows_of(self, call: Call, found: list[Tensor], *, is_attribute: bool) -> list[Shadow]:
        rule = RULES.get({"iter": "unbind"}.get(call.name, call.name))
        if is_attribute:
            known = {"data": "detach", "T": "t", "mT": "t"}
            rule = RULES.get(known.get(call.name, ""))
        if rule is not None:
            with suppress(OpaqueError):
                made = rule(call, self)
                if [s.labels.shape for s in made] == [t.shape for t in found]:
                    return at_every_size(call, made)
        read = tensors(call.args, call.kwargs)
        self._note_computed([t for t in read if t not in self.shadows])
        where = self.where or "the network"
        return opaque(call, self, f"{where}: {call.name or 'a function'} is not followed")

    def _give_up(self, name: str) -> None:
        self.unknown = self.unknown or f"{self.where or 'the network'} reads values ({name})"
        raise UnknownStructureError(self.unknown)

    def _note_plain(self, name: str, args: Any, read: list[Tensor], result: object) -> None:
        """A call that returned no tensor: it wrote into one, or told Python a fact or a value."""
        where = self.where or "the network"
        if result is None:
            call = Call(None, name, args, {}, read, {id(t): s for t, s in self._known(read)})  # type: ignore[arg-type]
            for tensor, shadow in zip(read, opaque(call, self, f"{where}: {name}"), strict=True):
                self.shadows[tensor] = shadow
            self._forget_aliases(read[0])
        elif isinstance(result, bool | int | float) and not _is_fact(name):
            self._give_up(name)

    def _known(self, read: list[Tensor]) -> list[tuple[Tensor, Shadow]]:
        return [(t, self.shadows[t]) for t in read if t in self.shadows]

    def shadow_of(self, tensor: Tensor) -> Shadow | None:
        """What is known of a tensor; None for a constant."""
        found: Shadow | None = self.shadows.get(tensor)  # type: ignore[no-untyped-call]
        return found

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

    def note(self, record: Layer | Channelwise) -> None:
        """Keep a record."""
        if isinstance(record, Layer):
            self.record.layers.append(record)
        else:
            self.record.channelwise.append(record)

    @property
    def where(self) -> str:
        """The innermost module that is running."""
        return self._path[-1] if self._path else ""

    def finish(self) -> None:
        """Join what one tensor is used for at several places; pin what is also read otherwise."""
        axes: dict[tuple[str, str], Tensor] = {}
        rows: list[tuple[str, str, Tensor]] = []
        for layer in self.record.layers:
            rows += [(layer.weight, "in", layer.inputs), (layer.weight, "out", layer.outputs)]
            if layer.bias is not None:
                rows.append((layer.bias, "0", layer.outputs))
        rows += [(c.name, str(c.dim), c.labels) for c in self.record.channelwise]
        for name, axis, labels in rows:
            if name in self._computed:
                self.units.pin(labels, f"{name} is also used in another way")
            first = axes.setdefault((name, axis), labels)
            if first.shape != labels.shape:
                self.units.pin(torch.cat([first, labels]), f"{name} is used in two ways")
                continue
            self.units.join(first, labels)
            lone = (first == NONE) != (labels == NONE)
            self.units.pin(torch.cat([first[lone], labels[lone]]), f"{name} is used twice")

    def _note_computed(self, read: list[Tensor]) -> None:
        """Parameters that are read by something else than the rules cannot be cut."""
        self._computed.update(n for t in read for n in self._names.get(id(t), ()))

    def _forget_aliases(self, written: Tensor) -> None:
        """Other views of memory that was written may hold anything now."""
        where = written.untyped_storage().data_ptr()
        for other, shadow in list(self.shadows.items()):  # type: ignore[no-untyped-call]
            if other is not written and other.untyped_storage().data_ptr() == where:
                if other.shape == written.shape and other.stride() == written.stride():
                    self.shadows[other] = self.shadows[written]
                    continue
                self.units.pin(shadow.labels, "written through a view")
                zeros = torch.zeros((), dtype=torch.float64).expand(other.shape)
                self.shadows[other] = Shadow(zeros, torch.ones(()).expand(other.shape))

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Know which module runs, inside."""
        handles = []
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(self._entering(name), prepend=True))
            handles.append(module.register_forward_hook(self._leaving, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

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
                    self.units.pin(self._made[parent], why)
                if parent is not None and hasattr(parent, "variable"):
                    self._note_computed([parent.variable])
            if tensor in self.shadows:
                self.units.pin(self.shadows[tensor].labels, why)
            nobody = torch.zeros((), dtype=torch.float64).expand(tensor.shape)
            self.shadows[tensor] = Shadow(nobody, torch.ones(()).expand(tensor.shape))

    def _entering(self, name: str) -> Any:
        def hook(*_: object) -> None:
            self._path.append(name)

        return hook

    def _leaving(self, *_: object) -> None:
        self._path.pop()


def _is_fact(name: str) -> bool:
    """Values of constants, attributes such as the shape, and is_cuda and its kin."""
    is_question = name.startswith("is_") and name != "is_nonzero"
    return name in VALUES or name == "__get__" or is_question


def _plain(name: str) -> tuple[str, bool]:
    """The name without underscores, and whether the function writes into its first argument."""
    if name.startswith("__"):
        plain = name.strip("_")
        is_variant = plain not in RULES and plain[:1] in ("i", "r") and plain[1:] in RULES
        return (plain[1:], plain[0] == "i") if is_variant else (plain, False)
    if name.startswith("_"):
        return name.removeprefix("_"), False
    return (name[:-1], True) if name.endswith("_") else (name, False)
