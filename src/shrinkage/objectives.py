"""loss + penalty over all data: value, gradient, curvature; streamed, summed in float64."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from shrinkage.data import stream
from shrinkage.errors import FitError, ModelError
from shrinkage.measures import Loss, default_loss, weight_of
from shrinkage.measures.losses import mean_loss
from shrinkage.measures.removal import check_same
from shrinkage.measures.untouched import brought, home, untouched
from shrinkage.penalties import Penalty
from shrinkage.plans import Entry, Plan
from shrinkage.plans.coupled import Coupled
from shrinkage.plans.grouping import Grouping

Vector = list[Tensor]
"""One tensor per block of the objective, in the shape of its parameter."""


@dataclass(frozen=True, eq=False)
class Block:
    """A trainable parameter with its penalty, or None where it has none (or strength 0).

    The rows of coupled groups are a block, too: a tensor made of several ``parameters``.
    """

    entry: Entry
    parameters: tuple[nn.Parameter, ...]
    penalty: Penalty | None
    group: Coupled | None = None

    @property
    def parameter(self) -> Tensor:
        """The parameter itself, or the coupled rows as they stand."""
        return self.gathered(self.parameters)

    def gathered(self, tensors: Sequence[Tensor]) -> Tensor:
        """The block of tensors in the parameters' shapes."""
        return tensors[0] if self.group is None else self.group.gather(tensors)

    def scattered(self, value: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors with the block's values in their places; differentiable."""
        return [value] if self.group is None else self.group.scatter(value, tensors)

    @property
    def slope(self) -> float:
        """The slope of the penalty at zero, s·√m for groups of m weights; 0 where it is smooth."""
        if self.penalty is None:
            return 0.0
        return float(self.penalty.slope * self.entry.grouping.group_size**0.5)

    def distance(self, w: Tensor, grad: Tensor) -> Tensor:
        """Distance of −grad to ∂P(w), one figure per weight or group; |grad| without penalty.

        On spheres the distance to ∂P(w) + span{w_f}: what would change a norm does not count.
        """
        if self.penalty is None:
            return grad.abs()
        view = self.entry.grouping.view
        return self.penalty.distance(view(w), view(self.tangent(w, grad)))

    def tangent(self, w: Tensor, grad: Tensor) -> Tensor:
        """grad + μ_f·w_f with μ_f = −⟨grad + ∂P(w), w_f⟩/‖w_f‖², where rows w_f keep their norm.

        With this gradient loss + P has no slope along w_f (Lagrange); other blocks: grad itself.
        """
        if self.sphere is None:
            return grad
        with torch.enable_grad():
            leaf = w.detach().clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.value(leaf), leaf)
        return grad - self.along(w.detach(), grad + slope)

    def along(self, w: Tensor, v: Tensor) -> Tensor:
        """The part of v that points along the rows w_f that keep their norm; 0 for other blocks."""
        rows = self.sphere
        if rows is None:
            return torch.zeros_like(v)
        at, moved = rows.view(w), rows.view(v)
        square = at.square().sum(dim=1, keepdim=True)
        share = (at * moved).sum(dim=1, keepdim=True) / torch.where(square == 0, 1.0, square)
        return rows.restore(share * at)

    @property
    def sphere(self) -> Grouping | None:
        """The rows that keep their norm."""
        return None if self.penalty is None else self.entry.sphere

    def onto_sphere(self, w: Tensor, other: Tensor) -> Tensor:
        """``w`` with the norms of ``other``, row by row; rows that are 0 are taken from it."""
        rows = self.sphere
        if rows is None:
            return w
        target, known = rows.view(w), rows.view(other)
        found, norm = (torch.linalg.vector_norm(r, dim=1, keepdim=True) for r in (target, known))
        return rows.restore(torch.where(found == 0, known, target * (norm / found)))

    def value(self, w: Tensor) -> Tensor:
        """P(w); 0 without penalty."""
        if self.penalty is None:
            return w.new_zeros(())
        return self.penalty.value(self.entry.grouping.view(w))

    def prox(self, w: Tensor, step: Tensor) -> Tensor:
        """prox of step·P at w, a step per weight; w itself without penalty."""
        if self.penalty is None:
            return w
        view = self.entry.grouping.view
        return self.entry.grouping.restore(self.penalty.prox(view(w), view(step)))

    def alive(self, w: Tensor) -> Tensor:
        """True at weights that are not 0 and in groups that are not, and where P has no kink."""
        if self.penalty is None or not self.slope:
            return torch.ones_like(w, dtype=torch.bool)
        grouping = self.entry.grouping
        if not self.penalty.together:
            return w != 0
        rows = grouping.view(w)
        return grouping.restore(rows.any(dim=-1, keepdim=True).expand(rows.shape))

    def unturned(self, before: Tensor, after: Tensor) -> Tensor:
        """``after``, with 0 for weights whose sign has turned and groups that point backward."""
        if self.penalty is None or not self.slope:
            return after
        grouping = self.entry.grouping
        if not self.penalty.together:
            return torch.where(before * after > 0, after, 0.0)
        rows, target = grouping.view(before), grouping.view(after)
        forward = (rows * target).sum(dim=-1, keepdim=True) > 0
        return grouping.restore(torch.where(forward, target, 0.0))


class Objective:
    """cost(θ) = mean loss over a stream + Σ P(θ), with the network in eval mode.

    Frozen parameters are constants. Dropout is off and normalisation layers use their running
    statistics, so that the cost is a function of the parameters alone. Use inside
    :meth:`evaluating`, which leaves modes, buffers and random state as they were.
    """

    def __init__(self, model: nn.Module, plan: Plan, data: object, loss: Loss | None) -> None:
        check_same(model, plan)
        self.model, self.plan, self.at = model, plan, home(model)
        self.stream = stream(data)
        self.blocks = tuple(_blocks(plan))
        if not self.blocks:
            raise ModelError(
                "nothing can be trained",
                got="a network whose parameters are all frozen",
                expected="a parameter with requires_grad=True",
                remedy="Unfreeze the layers that the plan penalises.",
            )
        self.criterion = default_loss(next(self.stream.batches())[1]) if loss is None else loss
        with self.evaluating(), torch.no_grad():
            x, y = next(self._weighed())
            prediction = self.model(x)
            self.output_shape = tuple(prediction.shape[1:])
            _check_mean(self.criterion, prediction, y)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Eval mode inside; afterwards modes, buffers and random state are as before.

        What PyTorch says of shapes and labels that do not fit comes out as :class:`FitError`.
        """
        with untouched(self.model):
            try:
                yield
            except (RuntimeError, IndexError) as error:
                raise FitError(
                    "network, data and loss do not fit together",
                    got=f"{type(error).__name__}: {str(error).splitlines()[0]}",
                    expected="inputs the network takes, and targets the loss takes",
                    remedy="Check shapes, labels 0 … classes − 1, and loss=.",
                ) from error

    @property
    def point(self) -> Vector:
        """The parameters as they stand: the tensors themselves."""
        return [block.parameter.detach() for block in self.blocks]

    @torch.no_grad()
    def move(self, point: Vector) -> None:
        """Write ``point`` into the network."""
        for block, value in zip(self.blocks, point, strict=True):
            for parameter, new in zip(
                block.parameters, block.scattered(value, block.parameters), strict=True
            ):
                parameter.copy_(new)

    def penalty(self) -> float:
        """Σ P(θ) in float64."""
        with torch.no_grad():
            return float(sum(float(b.value(b.parameter.double())) for b in self.blocks))

    def loss(self) -> float:
        """The mean loss over the stream."""
        total = weight = 0.0
        with torch.no_grad():
            for x, y in self._weighed():
                share = weight_of(self.criterion, y)
                total += share * float(self.criterion(self.model(x), y))
                weight += share
        return total / weight

    def gradient(self) -> tuple[float, Vector]:
        """The mean loss and its gradient, both summed in float64."""
        parameters = list({id(p): p for b in self.blocks for p in b.parameters}.values())
        sums = [torch.zeros_like(p, dtype=torch.float64) for p in parameters]
        total = weight = 0.0
        with torch.enable_grad():
            for x, y in self._weighed():
                share = weight_of(self.criterion, y)
                value = self.criterion(self.model(x), y)
                parts = torch.autograd.grad(value, parameters, materialize_grads=True)
                for into, part in zip(sums, parts, strict=True):
                    into.add_(part, alpha=share)
                total += share * float(value.detach())
                weight += share
        means = {id(p): into / weight for p, into in zip(parameters, sums, strict=True)}
        return total / weight, [
            b.gathered([means[id(p)] for p in b.parameters]) for b in self.blocks
        ]

    def curvature(self) -> Callable[[Vector], Vector]:
        """v ↦ Jᵀ·∂²loss·J·v, the mean over the stream: the Gauss–Newton matrix at this point.

        J is the network's Jacobian, ∂²loss the Hessian of the loss in its outputs; for losses
        that are convex in the outputs it has no negative eigenvalue. The network is run once, and
        its activations are kept as long as the product is. Reverse mode only, so that every layer
        serves. Source: Schraudolph, Fast Curvature Matrix-Vector Products (2002); J·v is the
        derivative of u ↦ Jᵀ·u.
        """
        with torch.enable_grad():
            leaves, point = self._copied_point()
            parts = [
                _linearised(functional_call(self.model, point, (x,)), y, self.criterion, leaves)
                for x, y in self._weighed()
            ]
        whole = sum(part.weight for part in parts)

        def product(v: Vector) -> Vector:
            total = [torch.zeros_like(part) for part in v]
            for part in parts:
                for into, found in zip(total, part.product(v), strict=True):
                    into.add_(found, alpha=part.weight / whole)
            return total

        return product

    def hessian(self) -> Callable[[Vector], Vector]:
        """v ↦ ∇²loss·v at the present point, the mean over the stream; may be indefinite.

        The gradient's graph is kept as long as the product is. Source: Pearlmutter, Fast Exact
        Multiplication by the Hessian (1994), by differentiating twice.
        """
        with torch.enable_grad():
            leaves, point = self._copied_point()
            total, weight = [torch.zeros_like(leaf) for leaf in leaves], 0.0
            for x, y in self._weighed():
                share = weight_of(self.criterion, y)
                value = self.criterion(functional_call(self.model, point, (x,)), y)
                slope = torch.autograd.grad(
                    value, leaves, create_graph=True, materialize_grads=True
                )
                total = [a + share * b for a, b in zip(total, slope, strict=True)]
                weight += share
        bent = [(slope, at) for at, slope in enumerate(total) if slope.requires_grad]

        def product(v: Vector) -> Vector:
            slopes = [slope for slope, _ in bent]
            parts = [v[at] / weight for _, at in bent]
            return list(
                torch.autograd.grad(
                    slopes, leaves, parts, retain_graph=True, materialize_grads=True
                )
            )

        return product

    def _copied_point(self) -> tuple[Vector, dict[str, Tensor]]:
        """A copy of the point, one leaf per block, and the network's parameters made of it."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        leaves: Vector = []
        state: dict[str, Tensor] = {}
        for block in self.blocks:
            leaves.append(block.parameter.detach().clone().requires_grad_())
            keys = [names[id(p)] for p in block.parameters]
            known = [state.get(k, p.detach()) for k, p in zip(keys, block.parameters, strict=True)]
            state |= zip(keys, block.scattered(leaves[-1], known), strict=True)
        return leaves, state

    def targets(self) -> Tensor:
        """All targets, on the network's device."""
        return torch.cat([brought(y, self.at) for _, y in self.stream.batches()])

    def _weighed(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches on the network's device, without those that weigh nothing in the loss."""
        weighs = False
        for x, y in self.stream.batches():
            y = brought(y, self.at)
            if weight_of(self.criterion, y):
                weighs = True
                yield brought(x, self.at), y
        if not weighs:
            raise FitError(
                "no example counts in the loss",
                got="class weights or ignore_index that leave nothing",
                expected="at least one example with weight",
                remedy="Look at the loss's weight and ignore_index.",
            )


@dataclass(frozen=True, eq=False)
class _Linearised:
    """One batch's outputs, linear in the parameters, and the loss's curvature in the outputs."""

    prediction: Tensor
    dual: Tensor
    pulled: Sequence[Tensor]
    out: Tensor
    slope: Tensor
    parameters: Sequence[Tensor]
    weight: float

    def product(self, v: Vector) -> Vector:
        """Jᵀ·∂²loss·J·v."""
        pushed = _derivative(self.pulled, self.dual, v)
        bent = _derivative([self.slope], self.out, [pushed])
        return list(
            torch.autograd.grad(
                self.prediction,
                self.parameters,
                bent,
                retain_graph=True,
                materialize_grads=True,
            )
        )


def _derivative(outputs: Sequence[Tensor], of: Tensor, v: Sequence[Tensor]) -> Tensor:
    """Jᵀ·v of those outputs that depend on anything at all."""
    pairs = [(o, part) for o, part in zip(outputs, v, strict=True) if o.requires_grad]
    if not pairs:
        return torch.zeros_like(of)
    some, parts = zip(*pairs, strict=True)
    return torch.autograd.grad(some, of, parts, retain_graph=True, materialize_grads=True)[0]


def _linearised(prediction: Tensor, y: Tensor, criterion: Loss, parameters: Vector) -> _Linearised:
    dual = torch.zeros_like(prediction, requires_grad=True)
    pulled = torch.autograd.grad(
        prediction, parameters, dual, create_graph=True, materialize_grads=True
    )
    out = prediction.detach().requires_grad_()
    (slope,) = torch.autograd.grad(criterion(out, y), out, create_graph=True)
    return _Linearised(prediction, dual, pulled, out, slope, parameters, weight_of(criterion, y))


def _blocks(plan: Plan) -> Iterator[Block]:
    for entry in plan.entries:
        parameter = plan.parameter(entry)
        if parameter.requires_grad and not entry.coupled:
            yield Block(entry, (parameter,), _acting(entry.penalty))
    for group in plan.coupled:
        parameters = tuple(plan.parameter(part.entry) for part in group.parts)
        yield Block(group.entry, parameters, _acting(group.entry.penalty), group)
    _check_whole(plan)


def _acting(penalty: Penalty | None) -> Penalty | None:
    return None if penalty is None or penalty == penalty.scaled(0) else penalty


def _check_whole(plan: Plan) -> None:
    """Refuse coupled groups that leave a part of a parameter without a block."""
    rows: dict[str, int] = {}
    for part in (part for group in plan.coupled for part in group.parts):
        at = rows.setdefault(part.entry.name, part.entry.shape[part.dim])
        rows[part.entry.name] = at - part.rows.numel()
    left = [name for name, count in rows.items() if count]
    if left:
        raise FitError(
            "coupled groups cover a parameter in part",
            got=f"{rows[left[0]]} rows of {left[0]!r} in no group",
            expected="units of one parameter that all vanish with something",
            remedy="Certify a plan without coupled=True.",
        )


def _check_mean(loss: Loss, prediction: Tensor, y: Tensor) -> None:
    """Refuse losses that grow with the number of examples: by name, and by trying."""
    once = mean_loss(loss, prediction, y)
    twice = mean_loss(loss, torch.cat([prediction, prediction]), torch.cat([y, y]))
    if abs(twice - once) > 0.01 * abs(once):
        raise FitError(
            "the loss is not a mean over examples",
            got=f"{once:.6g} for a batch and {twice:.6g} for the same batch twice",
            expected="the same number",
            remedy="Divide the sum by the number of examples.",
        )
