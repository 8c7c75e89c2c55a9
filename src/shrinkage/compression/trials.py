"""A network's outputs and gradients in one run, and what rounding alone makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from shrinkage.compression.copies import copied
from shrinkage.errors import RAISED, CompactionError, told
from shrinkage.graph import Inputs, unfrozen
from shrinkage.graph.call import returned

_SAMPLES = 4
_TIMES = 16.0
"""How many times the noise that was measured may lie between two results of rounding."""


@dataclass(frozen=True, eq=False)
class Trial:
    """The outputs, and the gradients of a random weighted sum of them, by parameter.

    Outputs that are no floats (classes, masks) count in float64 only: else rounding turns them.
    """

    outputs: tuple[Tensor, ...]
    gradients: Mapping[str, Tensor]
    coarsest: torch.dtype
    """Of the floats on the way: autocast rounds more than the parameters' dtype tells."""


class _Roundings(TorchFunctionMode):
    """Sees the coarsest dtype that a function returns."""

    coarsest = torch.float64

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``func``."""
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.is_floating_point():
            self.coarsest = max(self.coarsest, result.dtype, key=lambda t: torch.finfo(t).eps)
        return result


def trial(model: nn.Module, inputs: Inputs) -> Trial:
    """Run ``model`` once, forward and backward, with all parameters unfrozen meanwhile."""
    parameters = {k: p for k, p in model.named_parameters() if p.is_floating_point()}
    with unfrozen(model), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # functions that drop at random drop the same in both networks
        with _Roundings() as seen:
            result = model(*inputs)
        outputs = [_real(t) for t in returned(result)]
        gradients = _gradients(outputs, parameters)
    if any(p.dtype != torch.float64 for p in parameters.values()):
        outputs = [t for t in outputs if t.is_floating_point()]
    return Trial(tuple(t.detach() for t in outputs), gradients, seen.coarsest)


def _gradients(outputs: list[Tensor], parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Those of a random sum of all that is put out."""
    ends = [t for t in outputs if t.requires_grad]
    if not ends:
        return {}
    total = torch.stack([(t * _weights(t)).sum() for t in ends]).sum()
    try:
        found = torch.autograd.grad(total, list(parameters.values()), materialize_grads=True)
        return dict(zip(parameters, found, strict=True))
    except RAISED as error:  # of what a network writes into, or a backward of its own
        raise CompactionError(
            "the network has no gradients, by which the compact one is compared too",
            got=told(error),
            expected="a network in which outputs.sum().backward() works in eval mode",
            remedy="Take out what stops it; or, for a network that is no longer trained, put "
            "@torch.no_grad() on its forward: then outputs alone are compared.",
        ) from error


def _real(t: Tensor) -> Tensor:
    return torch.view_as_real(t) if t.is_complex() else t


def _weights(t: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t)


@dataclass(eq=False)
class Noise:
    """How far rounding alone moves the results of two networks on the same examples.

    What is 0 in exact arithmetic is computed as noise: the gradient of a bias that only shifts the
    scores of a softmax, or what a normalisation takes away again. Relative to themselves two
    such results differ by anything. So the noise is measured: both networks run again
    with weights that differ in their last digit, which changes all roundings. A result that is no
    noise moves by no more than its own last digits, so that nothing else passes for it.
    """

    runs: tuple[tuple[nn.Module, Inputs], tuple[nn.Module, Inputs]]
    trials: tuple[Trial, Trial]
    _again: list[tuple[Trial, Trial]] = field(default_factory=list)

    def explains_output(self, at: int, gap: float) -> bool:
        """Whether a difference between the outputs number ``at`` is one of rounding."""
        return self._explains(lambda t: t.outputs[at], gap)

    def explains_gradient(self, name: str, gap: float) -> bool:
        """Whether a difference between gradients is; never where it is large beside all others.

        At a kink that is met exactly even the last digit turns a gradient around.
        """
        largest = max(
            [1.0, *(float(g.abs().max()) for g in self.trials[0].gradients.values() if g.numel())]
        )
        return gap <= 1e-9 * largest and self._explains(lambda t: t.gradients[name], gap)

    def _explains(self, pick: Any, gap: float) -> bool:
        noise = 0.0
        for k in range(_SAMPLES):
            for ours, others in zip(self.trials, self._sample(k), strict=True):
                noise = max(noise, distance(pick(ours), pick(others)))
            if gap <= _TIMES * noise < torch.inf:
                return True
        return False

    def _sample(self, k: int) -> tuple[Trial, Trial]:
        if k == len(self._again):
            one, two = (trial(_nudged(model, k), inputs) for model, inputs in self.runs)
            self._again.append((one, two))
        return self._again[k]


@torch.no_grad()
def _nudged(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose weights differ by about as much as rounding them would change."""
    nudged, generator = copied(model), torch.Generator().manual_seed(seed)
    for p in nudged.parameters():
        if p.is_floating_point():
            u = torch.rand(p.shape, generator=generator, dtype=torch.float64) * 2 - 1
            p.mul_((1 + 2 * torch.finfo(p.dtype).eps * u).to(p))
    return nudged


def distance(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference; infinite for other shapes, and NaN beside a number."""
    if a.shape != b.shape:
        return torch.inf
    a, b = a.detach().double(), b.detach().double()
    gap = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs())
    return float(gap.nan_to_num(torch.inf, torch.inf).max()) if gap.numel() else 0.0


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest finite number of ``a``."""
    gap = distance(a, b)
    if not gap:
        return 0.0
    size = float(a.double().abs().nan_to_num(0.0, 0.0).max())
    return gap / size if size else torch.inf
