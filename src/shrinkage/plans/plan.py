"""A plan: rules bound to one network."""

import gc
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from math import prod

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from shrinkage.arguments import as_int, check_type
from shrinkage.errors import PlanError, ShrinkageWarning, listed, warn
from shrinkage.graph.wrappers import check_network
from shrinkage.penalties import Penalty
from shrinkage.penalties.base import check_sizes
from shrinkage.plans.binding import Entry, bind
from shrinkage.plans.coupled import Coupled, Term, couple, terms_of
from shrinkage.plans.normalisation import followed_by_norm
from shrinkage.plans.rules import Key, Rules

Held = tuple[Entry, Penalty, nn.Parameter]

Place = tuple[Mapping[str, object], str, object]
"""A module's dictionary of parts, a name in it, and what is there."""


class Plan:
    """Which parameter of ``model`` gets which penalty, in which groups, and why.

    ``rules`` is a penalty for all weights, a mapping, or :class:`Rules`. Biases and
    normalisation layers join on request (``biases=True``, ``norms=True``). The plan is bound by
    parameter names, so ``model.to(...)`` and reassigned parameters do not loosen it.
    ``print(plan)`` shows every parameter with its penalty or the reason it has none.

    Weights that a normalisation layer follows have no size that matters: loss + penalty has no
    minimiser, because shrinking them costs nothing. ``rescale=True`` keeps the norm of each filter
    while the penalty acts (per group of filters before a group norm, per layer before a layer
    norm), and the cost is that on these spheres. Without it they shrink, which acts as a growing
    learning rate and a fading penalty: sparse and accurate (docs/normalisation.md), but no
    minimum. :func:`certify` and :func:`polish` take the norms as they stand, either way. A norm
    layer that stays in eval mode while the network trains undoes nothing: leave ``rescale`` off.

    ``GroupL1(…, coupled=True)`` needs ``example_inputs``, a batch of what the network takes: it is
    run once, on a copy, to see what must vanish together. Biases, norm scales and shifts in such a
    group are penalised with it. A zero group can be cut out (:func:`compact`) where what follows
    maps 0 to 0 or takes up a constant. Units that the network cannot do without, such as its
    outputs, keep the groups of their own weight. ``rescale`` leaves coupled groups alone: they
    hold the scales that a norm would undo.

    Frozen parameters are left out until they are trained. Layers that are pruned, parametrised,
    tied or replaced after the plan was made need a new one; :class:`PlanError` says so.

    Raises :class:`PlanError` for a rule that matches nothing and a plan that penalises nothing;
    warns (:class:`ShrinkageWarning`) of shadowed rules, of matrices that are left out unasked
    (:func:`register_layer` makes their layers known), of weights before a normalisation layer
    that may shrink, and of penalties that act on their size alone (L2, whole filters).
    """

    def __init__(
        self,
        model: nn.Module,
        rules: Penalty | Mapping[Key, Penalty | None] | Rules,
        *,
        biases: bool = False,
        norms: bool = False,
        rescale: bool = False,
        example_inputs: object = None,
    ) -> None:
        what, swapped = (
            "a plan needs a network",
            " The network comes first." if isinstance(rules, nn.Module) else "",
        )
        check_network(model, f"Call Plan(model, L1(1e-4)).{swapped}", what=what, error=PlanError)
        given = rules if isinstance(rules, Rules) else Rules(rules)
        self.rules = given.including(biases=biases, norms=norms, rescale=rescale)
        self.model = model
        self.entries: tuple[Entry, ...]
        self.coupled: tuple[Coupled, ...]
        self.entries, self.coupled = couple(model, bind(model, self.rules), example_inputs)
        for _, penalty, _ in self.blocks():
            check_sizes(penalty)
        self._example_inputs = example_inputs
        self.applied: str | None = None
        """How the plan was last put to work: "term" in a loss, or the method of attach()."""
        self._owner: weakref.ref[object] | None = None
        self._warn_of_norms()

    @property
    def bound(self) -> tuple[Entry, ...]:
        """The entries that have a penalty, also those that are still frozen."""
        return tuple(entry for entry in self.entries if entry.penalty is not None)

    @property
    def penalised(self) -> tuple[Entry, ...]:
        """The entries that have a penalty; what was frozen at first, once it is trained."""
        return tuple(e for e in self.bound if not e.frozen or self.parameter(e).requires_grad)

    @property
    def n_penalised(self) -> int:
        """Number of penalised weights."""
        return sum(prod(entry.shape) for entry in self.penalised)

    def parameter(self, entry: Entry) -> nn.Parameter:
        """The network's parameter behind ``entry``.

        Raises :class:`PlanError` where the network no longer has one of that name.
        """
        check_type(
            "this is no entry of a plan",
            entry,
            Entry,
            expected="one of plan.entries",
            remedy="Pass entry of: for entry in plan.entries.",
            error=PlanError,
        )
        parameter = self._present(entry)
        if parameter is None:
            raise _outdated(
                f"the network no longer has the parameter {entry.name!r}",
                "a layer that was replaced, deleted, pruned or parametrised, or no longer is, "
                "after the plan was made",
            )
        return parameter

    def _present(self, entry: Entry) -> nn.Parameter | None:
        """The network's parameter behind ``entry``, None if it is gone."""
        *way, name = entry.path.split(".")
        module: nn.Module | None = self.model
        for step in way:
            module = None if module is None else module._modules.get(step)
        return None if module is None else module._parameters.get(name)

    def blocks(self) -> Iterator[Held]:
        """Entry, penalty and parameter of everything that is penalised."""
        return self._blocks_of(self.penalised)

    def bound_blocks(self) -> Iterator[Held]:
        """The same, and those of parameters that are still frozen."""
        return self._blocks_of(self.bound)

    def _blocks_of(self, chosen: tuple[Entry, ...]) -> Iterator[Held]:
        names: dict[int, str] = {}
        for entry in chosen:
            if entry.penalty is None:
                continue
            parameter = self.parameter(entry)
            if names.setdefault(id(parameter), entry.name) != entry.name:
                raise _outdated(
                    "two parameters of the plan have become one",
                    f"{names[id(parameter)]!r} and {entry.name!r}, tied after the plan was "
                    "made: its penalty would count twice",
                )
            yield entry, entry.penalty, parameter

    def terms(self) -> Iterator[Term]:
        """The summands of the penalty: of each parameter, and of coupled groups over several."""
        return terms_of(self.blocks(), self.coupled, self.parameter)

    def bound_terms(self) -> Iterator[Term]:
        """The same, and those of parameters that are still frozen.

        Raises :class:`PlanError` for a parameter that is gone, or has another shape than it had.
        """
        for term in terms_of(self.bound_blocks(), self.coupled, self.parameter):
            for entry, parameter in term.parts:
                if tuple(parameter.shape) != entry.shape:
                    raise _outdated(
                        f"parameter {entry.name!r} has another shape than the plan knows",
                        f"{tuple(parameter.shape)}, for {entry.shape} when it was made",
                    )
            yield term

    def places(self) -> tuple[Place, ...]:
        """Where the network keeps its penalised parameters, and the modules on the way to them.

        As long as every dictionary has the same object under the name, :meth:`terms` are the same.
        """
        found: dict[tuple[int, str], Place] = {}
        for entry in self.bound:
            module: nn.Module = self.model
            *way, last = entry.path.split(".")
            for name in way:
                inner = module._modules[name]
                found[id(module), name] = (module._modules, name, inner)
                assert inner is not None  # noqa: S101  (it is on the way to a parameter)
                module = inner
            found[id(module), last] = (module._parameters, last, module._parameters[last])
        return tuple(found.values())

    def penalty(self) -> Tensor:
        """Σ P(w) over the penalised parameters: the term that the textbook adds to the loss.

        A differentiable scalar: ``loss = criterion(model(x), y) + plan.penalty()``. Raises
        :class:`PlanError` while a handle of :func:`attach` applies the same plan.
        """
        if self._is_attached():
            raise PlanError(
                "the plan would act twice",
                got="plan.penalty() while an optimizer has the plan attached",
                expected="either the term in the loss or attach(), not both",
                remedy="Leave the term out, or call handle.remove() first. "
                "plan.value() reads the penalty without acting.",
            )
        self.applied = "term"
        return self._sum()

    @torch.no_grad()
    def value(self) -> float:
        """Σ P(w) as a number, summed in float64; may be read at any time."""
        values = (term.value([p.double() for p in term.parameters]) for term in self.terms())
        return float(sum(values))

    def check_placed(self) -> None:
        """Raise :class:`PlanError` while a parameter is on the meta device, without numbers."""
        for entry in self.entries:
            if self.parameter(entry).is_meta:
                raise PlanError(
                    "the network has no weights yet",
                    got=f"{entry.name!r} on the meta device",
                    expected="parameters that hold numbers",
                    remedy="Call to_empty(device=...) and load or initialise the weights.",
                )

    def scaled(self, factor: float) -> "Plan":
        """A plan for the same network with every strength multiplied by ``factor`` ≥ 0."""
        return self.anew(self.model, self.rules.scaled(factor))

    def for_targets(self, targets: Callable[[], Tensor]) -> "Plan":
        """The plan for data with these targets; itself unless a strength depends on them."""
        rules = self.rules.for_targets(targets)
        if rules == self.rules:
            return self
        return self.anew(self.model, rules)

    def anew(self, model: nn.Module, rules: Rules | None = None) -> "Plan":
        """A plan for ``model`` under the same or other rules, with the same example inputs."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ShrinkageWarning)  # they were shown for this plan
            return Plan(model, rules or self.rules, example_inputs=self._example_inputs)

    def stacked(self, model: nn.Module, count: int) -> "Plan":
        """The same plan for ``count`` networks whose parameters ``model`` holds as (count, *shape).

        Groups stay within a network. Raises :class:`PlanError` for coupled groups and kept norms.
        """
        check_network(model, "Call plan.stacked(model, count).", error=PlanError)
        count = as_int("count", count, least=1, error=PlanError)
        if self.coupled or (self.rules.rescale and any(e.sphere for e in self.penalised)):
            raise PlanError(
                "the plan cannot be stacked",
                got="coupled groups, or norms that are kept",
                expected="groups that lie within a parameter",
                remedy="Train the networks one by one.",
            )
        plan = copy(self)
        plan.model = model
        plan.entries = tuple(
            replace(e, shape=(count, *e.shape), grouping=e.grouping.stacked(count), sphere=None)
            for e in self.entries
        )
        return plan

    def claim(self, owner: object, how: str) -> None:
        """Note that ``owner`` applies this plan from now on; released by :meth:`release`."""
        if self._is_attached():
            raise PlanError(
                "the plan is attached already",
                got="a second attach() of one plan",
                expected="one handle per plan",
                remedy="Call remove() on the first handle, or make a second plan.",
            )
        self._owner = weakref.ref(owner)
        self.applied = how

    def release(self, owner: object) -> None:
        """Undo :meth:`claim`, unless another owner has claimed the plan since."""
        if self._owner is not None and self._owner() is owner:
            self._owner = None

    @property
    def acting_scale(self) -> float:
        """By how much its handle multiplies the plan at present; 1 where none applies it."""
        owner = None if self._owner is None else self._owner()
        return float(getattr(owner, "factor", 1.0))

    def __getstate__(self) -> dict[str, object]:
        """A copy is a plan for the copied network, and nobody has attached it."""
        return {**self.__dict__, "_owner": None, "applied": None}

    def _is_attached(self) -> bool:
        """Whether a living handle applies this plan; one that is dropped lingers in a cycle."""
        if self._owner is not None and self._owner() is not None:
            gc.collect()
        return self._owner is not None and self._owner() is not None

    def _sum(self) -> Tensor:
        terms = [term.value(term.parameters) for term in self.terms()]
        return torch.stack([term.to(terms[0].device) for term in terms]).sum()

    def _warn_of_norms(self) -> None:
        """Of penalties that act on a size which a normalisation layer undoes, and on it alone."""
        acting = [entry for entry in self.penalised if _acts_on_size(entry)]
        guessed = followed_by_norm(self.model) if acting else {}
        pairs = ((entry.name, self._undone_by(entry, guessed)) for entry in acting)
        undone = [(name, norm) for name, norm in pairs if norm is not None]
        if undone:
            free = not self.rules.rescale and any(entry.sphere for entry in acting)
            warn(f"{_shown(undone)}: {_UNDONE}{_KEPT * free}")
        self._warn_of_constants(acting)

    def _undone_by(self, entry: Entry, guessed: Mapping[str, str]) -> str | None:
        """The normalisation layer that undoes the size of a weight whose direction counts."""
        if entry.invariance is None:
            return guessed.get(entry.layer)
        return None if entry.sphere is None or self.rules.rescale else entry.invariance.norm

    def _warn_of_constants(self, acting: Sequence[Entry]) -> None:
        norms = ((entry, entry.invariance) for entry in acting if entry.sphere is None)
        constant = [(entry.name, known.norm) for entry, known in norms if known is not None]
        if constant:
            scales = "" if self.rules.norms else _SCALES
            warn(f"{_shown(constant)}: {_CONSTANT}. {scales}{_OTHERS}")

    def __str__(self) -> str:
        console = Console(
            width=132,
            force_terminal=False,
            force_jupyter=False,
            color_system=None,
            markup=False,
            emoji=False,
        )
        with console.capture() as capture:
            console.print(self._table())
        total = sum(prod(entry.shape) for entry in self.entries)
        groups = "".join(f"coupled {k + 1}: {group}\n" for k, group in enumerate(self.coupled))
        return capture.get() + groups + f"{self.n_penalised:,} of {total:,} parameters penalised"

    def __repr__(self) -> str:
        return f"<Plan: {self.n_penalised:,} weights in {len(self.penalised)} parameters>"

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("parameter", "shape", "penalty", "groups", "why"):
            table.add_column(column, overflow="fold")
        acting = {entry.path for entry in self.penalised}
        for entry in self.entries:
            groups = f"{entry.grouping.n_groups:,} × {entry.grouping.group_size}"
            if entry.coupled:
                at = [k + 1 for k, g in enumerate(self.coupled) if entry.path in g.paths]
                groups = "coupled " + ", ".join(map(str, at))
            table.add_row(
                entry.name,
                "×".join(map(str, entry.shape)) or "scalar",
                str(entry.penalty) if entry.path in acting else "—",
                groups if entry.path in acting else "",
                self._why(entry),
            )
        return table

    def _why(self, entry: Entry) -> str:
        """The reason as it is now: what was frozen may be trained by now, or the other way."""
        parameter = self._present(entry)
        is_trained = parameter is None or parameter.requires_grad
        if is_trained and entry.frozen:
            return f"{entry.once_trained}; was frozen when the plan was made"
        if is_trained or entry.frozen:
            return entry.reason
        return f"{entry.reason}; frozen since the plan was made"


_UNDONE = (
    "a normalisation layer undoes the size of these weights, so a penalty on them shrinks numbers "
    "without regularizing the function. Zeros made there are real; their number depends on how "
    "long you train"
)
_KEPT = ". rescale=True keeps the norms (--rescale)"
_CONSTANT = (
    "a normalisation layer undoes the size of these weights, and this penalty depends on nothing "
    "else: it shrinks numbers and regularizes nothing"
)
_SCALES = "norms=True penalises the layer's own scales, which can switch filters off. "
_OTHERS = "GroupL1(…, coupled=True) takes these scales into the groups; L1 acts on single weights"


def _outdated(what: str, got: str) -> PlanError:
    return PlanError(
        what,
        got=got,
        expected="the parameters that the plan was made for",
        remedy="Prune, parametrise, tie and replace layers first, then make optimizer and plan; "
        "where a handle is attached, call its remove() before.",
    )


def _acts_on_size(entry: Entry) -> bool:
    """Whether a penalty that is not 0 acts on a whole weight by itself."""
    assert entry.penalty is not None  # noqa: S101  (narrowing)
    return len(entry.shape) > 1 and not entry.coupled and entry.penalty != entry.penalty.scaled(0)


def _shown(pairs: list[tuple[str, str]]) -> str:
    return listed((f"{name} (before {norm})" for name, norm in pairs), 3, " and")
