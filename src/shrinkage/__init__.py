"""L1 / L2 regularization for PyTorch networks that does what it says.

>>> import shrinkage as sh, torch
>>> model = torch.nn.Linear(4, 2)
>>> plan = sh.Plan(model, sh.L1(1e-4))
>>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
>>> handle = sh.attach(optimizer, plan)
"""

from importlib import import_module
from importlib.util import find_spec
from threading import RLock
from typing import Any

import lazy_loader

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


_lock = RLock()
_WITHIN = {"models": "data.models", "figures": "reports.figures"}
"""Modules that are asked for by a short name."""


def __getattr__(name: str) -> Any:
    """A public name of ``__init__.pyi``, or a room, loaded when it is first asked for."""
    with _lock:  # threads that ask at once would see rooms half imported
        if name in _WITHIN:
            return import_module(f"{__name__}.{_WITHIN[name]}")
        is_room = name.isidentifier() and find_spec(f"{__name__}.{name}") is not None
        if name not in __all__ and not is_room:
            raise _unknown(name)
        return import_module(f"{__name__}.{name}") if is_room else _public(name)


def _unknown(name: str) -> AttributeError:
    from shrinkage.errors import did_you_mean

    alike = {known.replace("_", "").casefold(): known for known in (*__all__, *_WITHIN)}
    same = alike.get(name.replace("_", "").casefold())
    hint = f"Did you mean {same!r}?" if same else did_you_mean(name, alike.values())
    return AttributeError(f"module {__name__!r} has no attribute {name!r}. {hint}".rstrip())
