"""What held ratios do to the groups of many parameters at once, in as few calls as may be.

On a GPU every call costs a launch, however small the parameter. The operations are those of
:meth:`GroupL1.hold`, in the same order and so with the same bits, over lists of tensors, and over
the ratios of all groups in one tensor.
"""

from collections.abc import Sequence
from itertools import accumulate
from math import inf

import torch
from torch import Tensor

from shrinkage.penalties.base import checked_step
from shrinkage.penalties.fused import least_norm, shrink
from shrinkage.penalties.steps import Steps


class Holds:
    """:meth:`GroupL1.hold` of parameters whose residuals, ratios and steps stay the same tensors.

    ``residuals`` (n, m) and ``held`` (n, 1), one of each for a parameter or a tile of one, all of
    one dtype on one device; ``kappas``: s·√m of each; ``steps``: one per weight (n, m) for each, or
    none.
    """

    def __init__(
        self,
        residuals: Sequence[Tensor],
        held: Sequence[Tensor],
        kappas: Sequence[float],
        steps: Sequence[Tensor],
    ) -> None:
        self._residuals, self._kappas, self._steps = residuals, list(kappas), list(steps)
        ends = list(accumulate(len(ratios) for ratios in held))[:-1]
        self._held = torch.cat(list(held))
        self._most = torch.finfo(self._held.dtype).max  # a norm whose squares overflow
        self._gone = self._held == 0
        self._norm, self._r = torch.empty_like(self._held), torch.empty_like(self._held)
        self._helds = self._held.tensor_split(ends)
        self._norms, self._rs = self._norm.tensor_split(ends), self._r.tensor_split(ends)
        parts = self._gone.tensor_split(ends)
        some = torch.stack([part.any() for part in parts]).tolist()
        self._zeros = [(k, residuals[k], parts[k]) for k, found in enumerate(some) if found]

    def run(self, rows: Sequence[Tensor], lengths: Sequence[float]) -> None:
        """row ← row·r/(r + κ·last step) in place, with r = ‖row‖·held.

        ``lengths``: the last step of each parameter, in units of its ``steps`` if it has some. A
        group whose ratio is 0 adds its row to its residual, where NaN becomes 0.
        """
        for part, norm in zip(rows, self._norms, strict=True):
            torch.linalg.vector_norm(part, dim=-1, keepdim=True, out=norm)
        torch.mul(self._norm, self._held, out=self._r).clamp_(max=self._most)
        act = self._one_by_one if self._steps and self._norm.is_cpu else self._in_lists
        act(rows, lengths)

    def _one_by_one(self, rows: Sequence[Tensor], lengths: Sequence[float]) -> None:
        """On a CPU trips to memory cost more than calls."""
        parts = zip(rows, self._residuals, self._helds, self._rs, strict=True)
        each = zip(self._kappas, self._steps, lengths, strict=True)
        for part, (kappa, step, length) in zip(parts, each, strict=True):
            shrink(*part, kappa, Steps(0.0, step, since=length))

    def _in_lists(self, rows: Sequence[Tensor], lengths: Sequence[float]) -> None:
        factors = self._per_weight(lengths) if self._steps else self._per_group(lengths)
        for k, residual, gone in self._zeros:
            residual.addcmul_(rows[k], gone).nan_to_num_(0.0, inf, -inf)
        torch._foreach_mul_(list(rows), factors)

    def _per_weight(self, lengths: Sequence[float]) -> tuple[Tensor, ...]:
        factors = torch._foreach_mul(self._steps, list(lengths))
        torch._foreach_mul_(factors, self._kappas)
        torch._foreach_add_(factors, self._rs)
        torch._foreach_clamp_min_(factors, least_norm(self._norm.dtype))
        for r, factor in zip(self._rs, factors, strict=True):
            torch.div(r, factor, out=factor)
        return tuple(factors)

    def _per_group(self, lengths: Sequence[float]) -> tuple[Tensor, ...]:
        """Where groups have one step, r is known: ‖row‖ − κ·step, as the prox has it."""
        pairs = zip(self._kappas, lengths, strict=True)
        thresholds = [kappa * float(checked_step(self._norm, step)) for kappa, step in pairs]
        torch._foreach_sub_(self._norms, thresholds)
        torch.where(self._gone, self._r, self._norm.clamp_(0, self._most), out=self._r)
        self._norm.copy_(self._r)
        torch._foreach_add_(self._norms, thresholds)
        torch.div(self._r, self._norm.clamp_(min=least_norm(self._norm.dtype)), out=self._norm)
        return self._norms
