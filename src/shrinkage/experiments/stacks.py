"""Networks of one shape trained at once: their parameters in stacks, one computation per step."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from shrinkage.analysis.measures import Criterion, settled
from shrinkage.analysis.measures.forms import AS_GIVEN
from shrinkage.data import Examples
from shrinkage.errors import RAISED
from shrinkage.experiments.fit import Budget, Training
from shrinkage.plans import Plan


class Stack(nn.Module):
    """M networks of one architecture as one: parameters (M, *shape), (M, n, …) → (M, n, …).

    ``form`` is a network that holds the stacked parameters; without buffers, and no parameter in
    two places.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.form = deepcopy(networks[0])
        for name, parameter in list(self.form.named_parameters()):
            stack = torch.stack([network.get_parameter(name).detach() for network in networks])
            owner, _, leaf = name.rpartition(".")
            stacked = nn.Parameter(stack, requires_grad=parameter.requires_grad)
            setattr(self.form.get_submodule(owner), leaf, stacked)

    def forward(self, x: Tensor) -> Tensor:
        """Every network on its own inputs."""

        def one(parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
            output: Tensor = functional_call(self.form, parameters, (inputs,))
            return output

        outputs: Tensor = vmap(one)(dict(self.form.named_parameters()), x)
        return outputs

    @torch.no_grad()
    def write(self, networks: Sequence[nn.Module]) -> None:
        """Copy the parameters back into the networks."""
        for name, stack in self.form.named_parameters():
            for network, parameter in zip(networks, stack, strict=True):
                network.get_parameter(name).copy_(parameter)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Budgets(Budget):
    """The budgets of all networks of a stack; alike but for what is random, and for the rows."""

    each: tuple[Budget, ...]

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(M, size, …) of inputs and targets: the batches that each network would see alone."""
        for batches in zip(*(budget.batches(size) for budget in self.each), strict=True):
            x, y = zip(*batches, strict=True)
            yield torch.stack(x), torch.stack(y)


def train_together(
    networks: Sequence[nn.Module],
    plan: Plan,
    training: Training,
    rows: Sequence[Examples],
    *,
    epochs: float,
    seeds: Sequence[int],
    warm: bool,
) -> None:
    """Train every network in place on rows of its own, equally many, under the plan of the first.

    What each comes to is what :func:`~.fitting.fit` with its seed makes of it alone, but
    for rounding: losses are summed over the networks, so that each has its own gradient; steps of
    the optimizer act on single weights, and the penalty's groups lie within a network.
    """
    stack = Stack(networks)
    each = tuple(
        Budget(epochs, seed, examples, 1.0, "auto", torch.Generator().manual_seed(seed), warm=warm)
        for seed, examples in zip(seeds, rows, strict=True)
    )
    shared: dict[str, Any] = {f.name: getattr(each[0], f.name) for f in fields(Budget)}
    criterion = settled(training.loss, networks[0], rows[0])

    def summed(predictions: Tensor, y: Tensor) -> Tensor:
        return vmap(criterion)(predictions, y).sum()

    stacked = plan.stacked(stack.form, len(networks))
    for _ in replace(training, loss=Criterion(summed, AS_GIVEN))(
        stack, stacked, _Budgets(**shared, each=each)
    ):
        pass
    stack.write(networks)


def is_stackable(network: nn.Module, plan: Plan, training: Training, rows: Examples) -> bool:
    """Can such networks be trained together, with what each would come to alone?

    Not with an optimizer of the user's own, which may look at all weights at once; not with
    buffers (statistics of a batch), shared parameters, coupled groups and kept norms; not where
    PyTorch cannot batch the network or the loss: random numbers (dropout), branches by value.
    """
    if not isinstance(training.optimizer, str):
        return False
    places = list(network.named_parameters(remove_duplicate=False))
    if next(network.buffers(), None) is not None or len(places) > len(list(network.parameters())):
        return False
    x, y = rows.x[:4], rows.y[:4]
    try:
        criterion = settled(training.loss, network, rows)
        stack = Stack([network, network]).train()
        plan.stacked(stack.form, 2)
        outputs = stack(torch.stack([x, x.flip(0)]))
        losses = vmap(criterion)(outputs, torch.stack([y, y.flip(0)]))
        losses.sum().backward()  # type: ignore[no-untyped-call]
    except RAISED:  # whatever a network's own code raises where its inputs are no plain tensors
        return False
    with torch.no_grad():
        alone = network(x)
        return losses.shape == (2,) and torch.allclose(outputs[0], alone, rtol=1e-4, atol=1e-5)
