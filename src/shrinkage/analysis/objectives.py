"""loss + penalty over all data: value, gradient, curvature; streamed, summed in float64."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from shrinkage.analysis.blocks import Vector, blocks
from shrinkage.analysis.measures import Criterion, Loss, loss_for
from shrinkage.analysis.measures.evaluation import checked_output
from shrinkage.analysis.measures.losses import fitting_together, mean_loss
from shrinkage.analysis.measures.removal import check_same
from shrinkage.data import stream
from shrinkage.errors import FitError, ModelError
from shrinkage.graph.untouched import brought, home, untouched
from shrinkage.plans import Plan


class Objective:
    """cost(θ) = mean loss over a stream + Σ P(θ), with the network in eval mode.

    Frozen parameters are constants. Dropout is off and normalisation layers use their running
    statistics, so that the cost is a function of the parameters alone. Use inside
    :meth:`evaluating`, which leaves modes, buffers and random state as they were. A loss that is
    no mean over examples is taken of all of them in one batch.
    """

    def __init__(
        self, model: nn.Module, plan: Plan, data: object, loss: Loss | Criterion | None
    ) -> None:
        check_same(model, plan)
        # DataParallel cannot be called with other parameters; the network inside is the same.
        inner = model.module if isinstance(model, nn.DataParallel) else model
        self.stream = stream(data)
        plan = plan.for_targets(self.stream.targets)
        self.model, self.plan, self.at = inner, plan, home(model)
        self.blocks = tuple(blocks(plan))
        if not self.blocks:
            raise ModelError(
                "nothing can be trained",
                got="a network whose parameters are all frozen",
                expected="a parameter with requires_grad=True",
                remedy="Unfreeze the layers that the plan penalises.",
            )
        self.criterion = loss_for(loss, next(self.stream.batches())[1])
        with self.evaluating(), torch.no_grad():
            x, y = next(self._weighed())
            with fitting_together(x, y):
                prediction = checked_output(self.model(x), len(x))
            self.output_shape = tuple(prediction.shape[1:])
            mean_loss(self.criterion, prediction, y)
            if not self.criterion.is_mean:
                self.stream = self.stream.at_once()

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Eval mode inside; afterwards modes, buffers and random state are as before.

        What PyTorch says of shapes and labels that do not fit comes out as :class:`FitError`.
        """
        # Fused attention has no second derivative.
        exact = sdpa_kernel(SDPBackend.MATH)
        with torch.inference_mode(mode=False), untouched(self.model), exact, fitting_together():
            yield

    @property
    def point(self) -> Vector:
        """The parameters as they stand: the tensors themselves."""
        return [block.parameter.detach() for block in self.blocks]

    @torch.no_grad()
    def move(self, point: Vector) -> None:
        """Write ``point`` into the network."""
        for block, value in zip(self.blocks, point, strict=True):
            new = block.scattered(value, block.parameters)
            for parameter, part in zip(block.parameters, new, strict=True):
                parameter.copy_(part)

    def penalty(self) -> float:
        """Σ P(θ) in float64."""
        with torch.no_grad():
            return float(sum(float(b.value(b.parameter.double())) for b in self.blocks))

    def loss(self) -> float:
        """The mean loss over the stream."""
        total = weight = 0.0
        with torch.no_grad():
            for x, y in self._weighed():
                share = self.criterion.weight(y)
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
                share = self.criterion.weight(y)
                value = self.criterion(self.model(x), y)
                parts = torch.autograd.grad(value, parameters, materialize_grads=True)
                for into, part in zip(sums, parts, strict=True):
                    into.add_(part.detach(), alpha=share)  # materialized zeros require gradients
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
                share = self.criterion.weight(y)
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
            found = torch.autograd.grad(
                slopes, leaves, parts, retain_graph=True, materialize_grads=True
            )
            return [part.detach() for part in found]

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
            if self.criterion.weight(y):
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
        found = torch.autograd.grad(
            self.prediction, self.parameters, bent, retain_graph=True, materialize_grads=True
        )
        return [part.detach() for part in found]


def _derivative(outputs: Sequence[Tensor], of: Tensor, v: Sequence[Tensor]) -> Tensor:
    """Jᵀ·v of those outputs that depend on anything at all."""
    pairs = [(o, part) for o, part in zip(outputs, v, strict=True) if o.requires_grad]
    if not pairs:
        return torch.zeros_like(of)
    some, parts = zip(*pairs, strict=True)
    return torch.autograd.grad(some, of, parts, retain_graph=True, materialize_grads=True)[0]


def _linearised(
    prediction: Tensor, y: Tensor, criterion: Criterion, parameters: Vector
) -> _Linearised:
    dual = torch.zeros_like(prediction, requires_grad=True)
    pulled = torch.autograd.grad(
        prediction, parameters, dual, create_graph=True, materialize_grads=True
    )
    out = prediction.detach().requires_grad_()
    (slope,) = torch.autograd.grad(criterion(out, y), out, create_graph=True)
    return _Linearised(prediction, dual, pulled, out, slope, parameters, criterion.weight(y))
