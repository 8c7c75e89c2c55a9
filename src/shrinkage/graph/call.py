"""A call of a torch function, how a network's calls are met, and who is to blame when one fails."""

import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from shrinkage.errors import RAISED, ShrinkageError
from shrinkage.graph.functions import Function, Kind, look_up

Result = TypeVar("Result")


class UnknownFunctionError(Exception):
    """A function, or a use of one, whose effect is not known."""


class UnknownStructureError(Exception):
    """A network that cannot be followed: why."""


class NetworkError(Exception):
    """What a network's own code has raised: ``cause``."""

    @property
    def cause(self) -> BaseException:
        """The network's own exception."""
        return self.__cause__ or self


class RuleFailure(BaseException):
    """A rule of ours has raised, which is a bug: carried past every handler to :func:`running`."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a torch function, and what the table says of it."""

    func: Callable[..., Any]
    function: Function
    in_place: bool
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def kind(self) -> Kind:
        """What the function does."""
        return self.function.kind

    @property
    def name(self) -> str:
        """The function's one name."""
        return self.function.name

    @property
    def is_attribute(self) -> bool:
        """Whether it reads an attribute of a tensor."""
        return getattr(self.func, "__name__", "") == "__get__"

    def get(self, name: str) -> Any:
        """The argument of that name, wherever it stands, or its default."""
        names: Iterable[str] = (name,)
        for at, known in enumerate(self.function.arguments):
            if name in known:
                if at < len(self.args):
                    return self.args[at]
                names = known
        given = [self.kwargs[alias] for alias in names if alias in self.kwargs]
        return given[0] if given else (self.function.defaults or {}).get(name)

    def having(self, *first: Any) -> Any:
        """The function itself with other values for its leading arguments."""
        names = {name for known in self.function.arguments[: len(first)] for name in known}
        rest = {name: value for name, value in self.kwargs.items() if name not in names}
        return self.func(*first, *self.args[len(first) :], **rest)

    def bound(self) -> dict[str, Any]:
        """All arguments of a function written in Python, by name, with its defaults."""
        signature = inspect.signature(self.func).bind(*self.args, **self.kwargs)
        signature.apply_defaults()
        return signature.arguments

    def is_refused(self) -> bool:
        """Whether torch itself does not take these arguments."""
        try:
            self.func(*self.args, **self.kwargs)
        except RAISED:
            return True
        return False


class Interpreter(TorchFunctionMode):
    """Inside, every call of a torch function goes to :meth:`meet`."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look the function up, and meet the call."""
        return self.meet(Call(func, *look_up(func), args, kwargs or {}))

    @abstractmethod
    def meet(self, call: Call) -> Any:
        """What the network gets for this call."""


def by_rule(rule: Callable[..., Result], call: Call, *context: Any) -> Result:
    """What ``rule`` says. Raises :class:`RuleFailure` where it fails on what torch itself takes."""
    try:
        return rule(call, *context)
    except UnknownFunctionError:
        raise
    except Exception as error:  # whatever a rule of ours may raise
        if call.is_refused():
            raise UnknownFunctionError(f"{call.name}: {error}") from error
        raise RuleFailure(error) from error


@contextmanager
def running() -> Iterator[None]:
    """Around a network's forward: what a rule of ours raises comes out as it is.

    What the network raises becomes a :class:`NetworkError`.
    """
    try:
        yield
    except RuleFailure as failure:
        raise failure.error from failure.error.__cause__
    except (UnknownFunctionError, UnknownStructureError, NetworkError, ShrinkageError):
        raise
    except RAISED as error:  # a user's forward may raise anything
        raise NetworkError(str(error)) from error


def tensors(*values: object) -> Iterator[Tensor]:
    """All tensors in values, lists, tuples and dictionaries."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors(*value)
        elif isinstance(value, dict):
            yield from tensors(*value.values())


def replaced(value: Any, by: Callable[[Tensor], Any]) -> Any:
    """The same lists, tuples and dictionaries with every tensor replaced."""
    if isinstance(value, Tensor):
        return by(value)
    if type(value) in (list, tuple):
        return type(value)(replaced(item, by) for item in value)
    if type(value) is dict:
        return {key: replaced(item, by) for key, item in value.items()}
    return value


def returned(value: object) -> Iterator[Tensor]:
    """All tensors in what a network returns, also in its dataclasses, caches and other objects."""
    return _inside(value, set())


def _inside(value: object, seen: set[int]) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
        return
    if id(value) in seen or isinstance(value, str | bytes | type | nn.Module):
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        parts: Iterable[object] = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    else:
        parts = getattr(value, "__dict__", {}).values()
    for part in parts:
        yield from _inside(part, seen)
