"""Scores beside losses of one's own: the axis of classes is found, or there is no accuracy."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

import shrinkage as sh
from shrinkage.errors import FitError

N, T = 40, 5
X = torch.randint(0, 9, (N, T), generator=torch.Generator().manual_seed(0))


class Tagger(nn.Module):
    """An output per class for each word, (n, words, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(9, 8)
        self.out = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.out(self.words(x))
        return scores


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "flat": lambda p, y: F.cross_entropy(p.flatten(0, 1), y.flatten()),
    "transposed": lambda p, y: F.cross_entropy(p.transpose(1, 2), y),
    "gathered": lambda p, y: -p.log_softmax(-1).gather(-1, y[..., None]).mean(),
}


@pytest.mark.parametrize("classes", [7, T])  # as many classes as words: only the loss can tell
@pytest.mark.parametrize("loss", LOSSES)
def test_classes_on_the_last_axis(loss: str, classes: int) -> None:
    net, y = Tagger(classes), X % classes
    plan = sh.Plan(net, sh.L1(0.01))
    found = sh.measure(net, plan, (X, y), LOSSES[loss]).parts["data"]
    assert found.score_name == "accuracy"
    assert found.score == pytest.approx(float((net(X).argmax(-1) == y).double().mean()))
    assert found.loss == pytest.approx(float(LOSSES["flat"](net(X), y).detach()), rel=1e-6)
    assert sh.certify(net, plan, (X, y), LOSSES[loss]).loss == pytest.approx(found.loss, rel=1e-6)


ROWS = torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(60) % 3


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (lambda p, y: F.cross_entropy(p, y - 1), LABELS + 1),
        (lambda p, y: F.cross_entropy(p, (y + 1) % 3), LABELS),
        (lambda p, y: (p.sum(dim=1) - y).square().mean(), LABELS),
        (lambda p, y: F.cross_entropy(p, y[:, 0]) + F.cross_entropy(p, y[:, 1]),
         torch.stack([LABELS, LABELS], 1)),
    ],
    ids=["numbered from 1", "numbered otherwise", "quantities", "two labels a row"],
)  # fmt: skip
def test_labels_that_number_no_outputs_have_no_accuracy(loss: Any, y: Tensor) -> None:
    net = nn.Linear(4, 3)
    found = sh.measure(net, None, (ROWS, y), loss).parts["data"]
    assert found.score_name == "−loss"
    assert found.score == -found.loss == pytest.approx(-float(loss(net(ROWS), y).detach()))


def test_a_loss_that_is_bound_to_its_rows_keeps_its_accuracy() -> None:
    net, weights = nn.Linear(4, 3), torch.linspace(0.5, 1.5, 60)

    def weighted(p: Tensor, y: Tensor) -> Tensor:
        return (weights * F.cross_entropy(p, y, reduction="none")).mean()

    found = sh.measure(net, None, (ROWS, LABELS), weighted).parts["data"]
    hits = float((net(ROWS).argmax(1) == LABELS).double().mean())
    assert (found.score_name, found.score) == ("accuracy", pytest.approx(hits))


@pytest.mark.parametrize("squeezed", [False, True], ids=["a column", "flat"])
def test_one_logit_under_a_loss_of_labels_is_told_its_loss(squeezed: bool) -> None:
    net = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0 if squeezed else 1))
    plan, y = sh.Plan(net, sh.L1(0.01)), (LABELS > 0).long()
    for call in (sh.measure, sh.certify):
        for loss in (None, nn.CrossEntropyLoss()):
            with pytest.raises(FitError, match=r"one output cannot tell.*loss=nn.BCEWithLogits"):
                call(net, plan, (ROWS, y), loss)
    found = sh.measure(net, plan, (ROWS, y), nn.BCEWithLogitsLoss()).parts["data"]
    hits = float(((net(ROWS).flatten() > 0) == (y > 0)).double().mean())
    assert (found.score_name, found.score) == ("accuracy", pytest.approx(hits))


def test_a_factory_of_one_logit_is_told_so_too(tmp_path: Any) -> None:
    with pytest.raises(sh.ShrinkageError, match=r"one logit of two classes pass loss=nn.BCEWith"):
        sh.path(lambda: nn.Linear(4, 1), (ROWS, (LABELS > 0).long()), "l1", run=tmp_path / "run")


def test_a_loss_below_zero_has_no_parts() -> None:
    net = nn.Linear(4, 1)
    with torch.no_grad():
        net.bias.fill_(2.0)
    counts = torch.full((60, 1), 9.0)
    found = sh.measure(net, sh.Plan(net, sh.L1(0.1)), (ROWS, counts), nn.PoissonNLLLoss())
    assert found.parts["data"].loss < 0 < found.penalty
    assert found.penalty_share is None
    assert "of the cost" not in str(found)
    assert found.to_dict()["penalty_share"] is None
