"""Multiply–accumulates of products that PyTorch's counter does not know."""

import pytest
import torch
from torch import Tensor, nn

from shrinkage.compression.latency import macs


class Scored(nn.Module):
    """A vector's product with each position, as in attention pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.ones(9))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.v


class Paired(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Bilinear(8, 9, 10)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        pairs: Tensor = self.layer(x, z)
        return pairs


@pytest.mark.parametrize(
    ("model", "inputs", "expected"),
    [
        (Scored(), (torch.ones(3, 7, 9),), 7 * 9),
        (Paired(), (torch.ones(3, 8), torch.ones(3, 9)), 10 * 9 * 8 + 10 * 9),
    ],
    ids=["vector", "bilinear"],
)
def test_vectors_and_bilinear_layers_are_counted(
    model: nn.Module, inputs: tuple[Tensor, ...], expected: int
) -> None:
    assert macs(model, inputs) == expected
