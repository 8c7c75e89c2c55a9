"""What is put around a network (torch.compile, DataParallel, FSDP), and how to see past it."""

import sys
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from shrinkage.errors import ModelError, ShrinkageError, shown

_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module")


def check_network(
    model: object,
    usage: str,
    *,
    what: str = "this is no network",
    error: type[ShrinkageError] = ModelError,
) -> None:
    """Raise ``error`` unless ``model`` is a network; ``usage`` is the call as it is right."""
    if isinstance(model, nn.Module):
        return
    is_class = isinstance(model, type) and issubclass(model, nn.Module)
    raise error(
        what,
        got=shown(model) if is_class else type(model).__name__,
        expected="an nn.Module",
        remedy=f"Make one of the class: {model.__name__}(…)." if is_class else usage,  # type: ignore[attr-defined]
    )


def canonical(name: str) -> str:
    """``name`` without what ``torch.compile``, DataParallel and FSDP put into it.

    >>> canonical("module._orig_mod.conv1.weight")
    'conv1.weight'
    """
    parts = [part for part in name.split(".") if part not in _WRAPPERS]
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] == "module" else parts)


def unwrapped(model: nn.Module) -> tuple[nn.Module, str]:
    """The network inside, and what its wrappers put before the names of its parameters.

    Sees through ``torch.compile``, ``DataParallel`` and ``DistributedDataParallel``, in any order;
    an FSDP wrapper stays, because it alone can put its parameters together.

    >>> unwrapped(nn.DataParallel(nn.Linear(2, 1)))
    (Linear(in_features=2, out_features=1, bias=True), 'module.')
    """
    prefix = ""
    while inside := _place_inside(model):
        model, prefix = model.get_submodule(inside), f"{prefix}{inside}."
    return model, prefix


def running_eagerly() -> AbstractContextManager[object]:
    """Inside, what ``torch.compile`` has wrapped runs as it was written.

    A compiled program hides its calls from hooks and torch function modes.
    """
    # Whatever is compiled has imported Dynamo, which takes a second to import.
    could_be = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if could_be else nullcontext()


def _place_inside(model: nn.Module) -> str:
    """The name under which a wrapper keeps its network; empty for what is no wrapper."""
    if isinstance(model, nn.DataParallel | DistributedDataParallel):
        return "module"
    return "_orig_mod" if hasattr(model, "_orig_mod") else ""
