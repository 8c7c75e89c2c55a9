"""Which inputs and units are reached does not depend on how a network treats a lone example."""

import torch
from torch import Tensor, nn

from shrinkage.analysis.measures.reachability import reach


class Squeezing(nn.Module):
    """Drops axes of length 1, as for a pooled image: of one example the batch goes too."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 3, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.one(x)).mean((2, 3), keepdim=True).squeeze()
        return self.two(h[:, :])


class Paired(nn.Module):
    """Takes its batch for a pair, and fails where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        first, second = x[0::2], x[1::2]
        return self.one(first) + self.one(second)


def dead(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.rand_like(p) + 0.1)
        model.one.weight[1] = 0.0
        model.one.weight[:, 0] = 0.0
    return model.eval()


def test_a_network_that_squeezes_is_followed() -> None:
    found = reach(dead(Squeezing()), (2, 5, 5))
    assert found is not None
    assert found.units["one"].tolist() == [True, False, True]
    assert found.inputs[0].any().item() is False
    assert found.inputs[1].all().item() is True


def test_a_network_of_pairs_is_followed() -> None:
    found = reach(dead(Paired()), (4,))
    assert found is not None
    assert found.inputs.tolist() == [False, True, True, True]
    assert found.units["one"].tolist() == [True, False, True]
