"""Linear layers whose zeros are left out (CSR), where that is measured to be faster."""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shrinkage.compression.latency import batch_of, interleaved
from shrinkage.graph import Inputs

_LEAST_SPARSE = 0.5


@dataclass(frozen=True)
class SparseChoice:
    """One linear layer: milliseconds dense and as CSR at one batch size, and which is kept."""

    layer: str
    density: float
    dense: float
    csr: float

    @property
    def is_sparse(self) -> bool:
        """Whether CSR is faster."""
        return self.csr < self.dense


class SparseLinear(nn.Module):
    """y = W·x + b with W in CSR, 32-bit indices; for use, not for training W.

    Rows of x along its last axis, as :class:`torch.nn.Linear` has it.
    """

    starts: Tensor
    columns: Tensor
    values: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        with warnings.catch_warnings():  # once per process: CSR is in beta state
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            csr = weight.to_sparse_csr()
            self._csr(csr.crow_indices().int(), csr.col_indices().int(), csr.values())
        self.register_buffer("starts", csr.crow_indices().int())
        self.register_buffer("columns", csr.col_indices().int())
        self.register_buffer("values", csr.values())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach()[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """W·x + b."""
        csr, flat = self._csr(self.starts, self.columns, self.values), x.flatten(0, -2).T
        y = csr @ flat if self.bias is None else torch.addmm(self.bias, csr, flat)
        return y.T.reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Sizes and nonzeros."""
        return f"{self.in_features}, {self.out_features}, nonzeros={len(self.values)}"

    def dense(self) -> nn.Linear:
        """The same as an ordinary layer."""
        linear = nn.Linear(
            self.in_features, self.out_features, bias=self.bias is not None,
            device=self.values.device, dtype=self.values.dtype,
        )  # fmt: skip
        with torch.no_grad():
            linear.weight.copy_(self._csr(self.starts, self.columns, self.values).to_dense())
            if self.bias is not None:
                linear.bias.copy_(self.bias[:, 0])
        return linear.train(self.training)

    def check(self) -> None:
        """Raise :class:`RuntimeError` for places outside the matrix: reading there may crash."""
        size = (self.out_features, self.in_features)
        torch.sparse_csr_tensor(self.starts, self.columns, self.values, size, check_invariants=True)

    def _csr(self, starts: Tensor, columns: Tensor, values: Tensor) -> Tensor:
        size = (self.out_features, self.in_features)
        return torch.sparse_csr_tensor(starts, columns, values, size, check_invariants=False)


def sparsified(model: nn.Module, inputs: Inputs, batch: int) -> tuple[SparseChoice, ...]:
    """Replace linear layers by CSR, in place, where that is faster on ``batch`` examples."""
    found = []
    for name, (layer, x) in _seen(model, batch_of(inputs, batch)).items():
        density = float((layer.weight != 0).double().mean())
        if density <= _LEAST_SPARSE:
            sparse = SparseLinear(layer).eval()
            dense_ms, csr_ms = interleaved([lambda: layer(x), lambda: sparse(x)], 0.1)  # noqa: B023
            found.append(SparseChoice(name, density, dense_ms, csr_ms))
            if found[-1].is_sparse:
                put(model, name, sparse)
    return tuple(found)


def densified(model: nn.Module) -> None:
    """Ordinary layers instead of CSR, in place."""
    for name, module in list(model.named_modules()):
        if isinstance(module, SparseLinear):
            put(model, name, module.dense())


def _seen(model: nn.Module, inputs: Inputs) -> dict[str, tuple[nn.Linear, Tensor]]:
    """Plain linear layers that are called, with what they are called with."""
    found: dict[str, tuple[nn.Linear, Tensor]] = {}

    def hook(name: str) -> Any:
        def keep(module: nn.Linear, args: tuple[Tensor, ...]) -> None:
            found.setdefault(name, (module, args[0]))

        return keep

    handles = [
        module.register_forward_pre_hook(hook(name))
        for name, module in model.named_modules()
        if type(module) is nn.Linear and "weight" in module._parameters
    ]
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def put(model: nn.Module, name: str, module: nn.Module) -> None:
    """Replace the layer of this name."""
    path, _, local = name.rpartition(".")
    setattr(model.get_submodule(path), local, module)
