"""Losses of every kind in measure, certify, polish: the cost as it was written, or refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn import functional

import shrinkage as sh
from shrinkage.analysis.measures import Criterion, evaluate, loss_for
from shrinkage.data import Examples
from shrinkage.errors import DataError, FitError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
YES = (X[:, 0] + RNG.normal(size=120) > 0.8).astype(float)
NUMBER = 2 * X[:, 0] + 0.3 * RNG.normal(size=120)
COUNT = RNG.poisson(np.exp(0.7 * X[:, 0])).astype(float)
LAMBDA = 0.02


def linear(outputs: int = 1) -> nn.Module:
    net = nn.Linear(4, outputs).double()
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    return net


def solved(per_example: Callable[[np.ndarray], np.ndarray], weights: Any = None) -> float:
    """min over w, b of the weighted mean of the losses of X·w + b, + λ·Σ|w|, by bounded L-BFGS."""

    def cost(z: np.ndarray) -> float:
        w = z[:4] - z[4:8]
        losses = per_example(X @ w + z[8])
        return float(np.average(losses, weights=weights)) + LAMBDA * float(z[:8].sum())

    bounds = [(0, None)] * 8 + [(None, None)]
    found = minimize(
        cost, np.zeros(9), method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-9}
    )
    return float(found.fun)


def softplus(z: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, z)


def huber(r: np.ndarray) -> np.ndarray:
    return np.where(abs(r) < 1, r**2 / 2, abs(r) - 0.5)


POS = 3.0


def of_yes(z: np.ndarray) -> np.ndarray:
    return POS * YES * softplus(-z) + (1 - YES) * softplus(z)


def bce(p: Tensor, y: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(p, y, pos_weight=torch.tensor(POS).to(p))


PROBLEMS: dict[str, tuple[Any, np.ndarray, Callable[[np.ndarray], np.ndarray]]] = {
    "MSE": (nn.MSELoss(), NUMBER, lambda z: (z - NUMBER) ** 2),
    "functional.mse_loss": (functional.mse_loss, NUMBER, lambda z: (z - NUMBER) ** 2),
    "SmoothL1": (nn.SmoothL1Loss(), NUMBER, lambda z: huber(z - NUMBER)),
    "Huber": (nn.HuberLoss(), NUMBER, lambda z: huber(z - NUMBER)),
    "Poisson": (nn.PoissonNLLLoss(), COUNT, lambda z: np.exp(z) - COUNT * z),
    "integer counts": (nn.PoissonNLLLoss(), COUNT.astype(int), lambda z: np.exp(z) - COUNT * z),
    "logits": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor(POS)), YES, of_yes),
    "labels": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([POS])), YES.astype(int), of_yes),
    "bool": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([POS])), YES > 0, of_yes),
    "naive": (lambda p, y: ((p - y) ** 2).mean(), NUMBER, lambda z: (z - NUMBER) ** 2),
    "squeezed": (
        lambda p, y: functional.mse_loss(p.squeeze(1), y),
        NUMBER,
        lambda z: (z - NUMBER) ** 2,
    ),
    "indexed": (lambda p, y: functional.mse_loss(p[:, 0], y), NUMBER, lambda z: (z - NUMBER) ** 2),
    "raised": (
        lambda p, y: functional.mse_loss(p, y[:, None]),
        NUMBER,
        lambda z: (z - NUMBER) ** 2,
    ),
    "naive logits": (bce, YES, of_yes),
    "naive labels": (bce, YES.astype(int), of_yes),
    "squeezed labels": (lambda p, y: bce(p.squeeze(1), y.to(p)), YES.astype(int), of_yes),
    "naive counts": (
        lambda p, y: (p.exp() - y * p).mean(),
        COUNT,
        lambda z: np.exp(z) - COUNT * z,
    ),
}


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("name", PROBLEMS)
def test_one_output_and_one_target_are_the_problem_that_was_written(
    name: str, column: bool
) -> None:
    """(n, 1) beside (n,), and beside (n, 1): the exact minimum, and never that of (n, n)."""
    loss, y, per_example = PROBLEMS[name]
    target = y[:, None] if column else y
    net = linear()
    found = sh.polish(net, sh.Plan(net, sh.L1(LAMBDA)), (X, target), loss, tol=1e-5)
    assert found.gap < 1e-5
    assert found.objective == pytest.approx(solved(per_example), abs=1e-6)
    assert sh.measure(net, None, (X, target), loss).parts["data"].loss == pytest.approx(
        found.loss, abs=1e-9
    )


class Flat(nn.Module):
    """Outputs (n,)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = linear()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).squeeze(1)


@pytest.mark.parametrize(
    "loss",
    [nn.MSELoss(), nn.L1Loss(), lambda p, y: ((p - y) ** 2).mean()],
    ids=["MSE", "L1", "own"],
)
def test_flat_outputs_beside_a_column_of_targets(loss: Any) -> None:
    net = Flat()
    flat = sh.certify(net, sh.Plan(net, sh.L1(LAMBDA)), (X, NUMBER), loss)
    column = sh.certify(net, sh.Plan(net, sh.L1(LAMBDA)), (X, NUMBER[:, None]), loss)
    assert (column.objective, column.gap) == (flat.objective, flat.gap)
    assert column.gap > 1  # of (n, n) it is another


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("network", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["CE", "smooth CE", "NLL", "BCE weight", "soft CE"])
def test_class_weights_of_any_dtype(kind: str, dtype: torch.dtype, network: torch.dtype) -> None:
    """The loss is that of weights in the network's own dtype; the losses stay as they were."""
    weight = torch.tensor([0.5, 2.0], dtype=dtype)
    y = torch.tensor(YES).long()
    make: Callable[[Tensor], Any] = {
        "CE": lambda w: nn.CrossEntropyLoss(weight=w),
        "smooth CE": lambda w: nn.CrossEntropyLoss(weight=w, label_smoothing=0.2),
        "soft CE": lambda w: nn.CrossEntropyLoss(weight=w),
        "NLL": lambda w: nn.NLLLoss(weight=w),
        "BCE weight": lambda w: nn.BCEWithLogitsLoss(weight=w, pos_weight=w),
    }[kind]
    target = functional.one_hot(y, 2).to(network) if kind in ("BCE weight", "soft CE") else y
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 2), nn.LogSoftmax(dim=1)).to(network)
    loss = make(weight)
    inputs = torch.tensor(X).to(network)
    found = sh.certify(net, sh.Plan(net, sh.L1(LAMBDA)), (inputs, target), loss)
    right = make(weight.to(network))(net(inputs), target).item()
    assert found.loss == pytest.approx(right, rel=1e-6)
    assert loss.weight.dtype == dtype


def test_ignored_labels_weights_and_smoothing_over_ragged_batches() -> None:
    """The weighted mean over all rows, in whatever batches they are read."""
    loss = nn.CrossEntropyLoss(torch.tensor([0.5, 2.0, 1.0]), ignore_index=1, label_smoothing=0.1)
    net, y = linear(3), torch.tensor(RNG.integers(0, 3, 120))
    torch.manual_seed(1)
    nn.init.normal_(net.weight)
    data = torch.utils.data.TensorDataset(torch.tensor(X), y)
    loader = torch.utils.data.DataLoader(data, batch_size=33)
    right = loss.double()(net(torch.tensor(X)), y).item()
    plan = sh.Plan(net, sh.L1(LAMBDA))
    assert sh.certify(net, plan, loader, loss).loss == pytest.approx(right, abs=1e-12)
    assert sh.measure(net, plan, loader, loss).parts["data"].loss == pytest.approx(right, abs=1e-12)


def test_a_function_that_ignores_labels_is_a_mean_of_the_others_over_all_batches() -> None:
    """What each batch weighs is not known of a function, so that it is asked about all at once."""
    net, y = linear(3), torch.tensor(RNG.integers(0, 3, 120))
    data = torch.utils.data.TensorDataset(torch.tensor(X), y)
    loader = torch.utils.data.DataLoader(data, batch_size=33)
    plan = sh.Plan(net, sh.L1(LAMBDA))
    right = nn.CrossEntropyLoss(ignore_index=1)(net(torch.tensor(X)), y).item()
    found = sh.certify(
        net, plan, loader, lambda p, y: functional.cross_entropy(p, y, ignore_index=1)
    )
    assert found.loss == pytest.approx(right, abs=1e-12)


def test_labels_in_a_column_and_of_small_integers() -> None:
    net, y = linear(3), RNG.integers(0, 3, 120)
    plan = sh.Plan(net, sh.L1(LAMBDA))
    usual = sh.certify(net, plan, (X, y)).objective
    for other in (y[:, None], y.astype(np.uint8), y.astype(np.int32)):
        assert sh.certify(net, plan, (X, other), nn.CrossEntropyLoss()).objective == usual
        assert sh.measure(net, plan, (X, other)).parts["data"].score_name == "accuracy"


# ------------------------------------------------------------------ no mean over the examples

TIME = RNG.exponential(np.exp(-0.8 * X[:, 0]))
EVENT = (RNG.random(120) < 0.7).astype(float)
SURVIVAL = np.column_stack([TIME, EVENT])


def cox(prediction: Tensor, y: Tensor) -> Tensor:
    """The Cox partial likelihood, a mean over events; y: time, and whether it is an event."""
    risk, time, event = prediction.squeeze(1), y[:, 0], y[:, 1]
    at_risk = torch.where(time[None] >= time[:, None], risk[None], -torch.inf).logsumexp(1)
    return ((at_risk - risk) * event).sum() / event.sum()


def cox_by_hand(z: np.ndarray) -> np.ndarray:
    later = np.where(TIME[None] >= TIME[:, None], z[None], -np.inf)
    return EVENT * (np.logaddexp.reduce(later, axis=1) - z)


def test_the_cox_partial_likelihood_is_solved_on_all_data_at_once() -> None:
    for rows in ((X, SURVIVAL), _loader(SURVIVAL)):
        net = linear()
        plan = sh.Plan(net, sh.L1(LAMBDA))
        found = sh.polish(net, plan, rows, cox, tol=1e-5)
        # a mean over all examples for the solver: of events it is n / events times as much
        right = solved(lambda z: cox_by_hand(z) * len(X) / EVENT.sum())
        assert found.objective == pytest.approx(right, abs=1e-6)
        part = sh.measure(net, plan, rows, cox).parts["data"]
        assert part.loss == pytest.approx(found.loss, abs=1e-9)
        assert (part.score_name, part.score) == ("−loss", -part.loss)
        assert part.chunks == (part.loss,)


def _loader(y: np.ndarray) -> Any:
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(y))
    return torch.utils.data.DataLoader(data, batch_size=50)


def test_weights_of_examples_as_a_column_of_the_targets() -> None:
    weights = RNG.random(120) + 0.1

    def weighted(prediction: Tensor, y: Tensor) -> Tensor:
        return ((prediction[:, 0] - y[:, 0]) ** 2 * y[:, 1]).sum() / y[:, 1].sum()

    target = np.column_stack([NUMBER, weights])
    for rows in ((X, target), _loader(target)):
        net = linear()
        found = sh.polish(net, sh.Plan(net, sh.L1(LAMBDA)), rows, weighted, tol=1e-5)
        right = solved(lambda z: (z - NUMBER) ** 2, weights)
        assert found.objective == pytest.approx(right, abs=1e-6)


def test_a_root_of_a_mean_and_weights_bound_to_all_rows() -> None:
    weights = torch.tensor(RNG.random(120))
    net = linear()
    plan = sh.Plan(net, sh.L1(LAMBDA))
    square = sh.certify(net, plan, (X, NUMBER), nn.MSELoss()).loss
    root = sh.measure(net, plan, _loader(NUMBER), lambda p, y: functional.mse_loss(p, y).sqrt())
    assert root.parts["data"].loss == pytest.approx(square**0.5, rel=1e-9)
    bound = sh.certify(
        net, plan, (X, NUMBER), lambda p, y: (weights * (p.flatten() - y) ** 2).mean()
    )
    assert bound.loss == pytest.approx(float((weights * torch.tensor(NUMBER) ** 2).mean()))


@pytest.mark.parametrize(
    "loss",
    [
        lambda p, y: ((p - y) ** 2).sum(),
        lambda p, y: ((p.squeeze(1) - y) ** 2).sum(),
        nn.MSELoss(reduction="sum"),
        nn.MSELoss(reduction="none"),
        lambda p, y: (p.flatten() - y) ** 2,
        lambda p, y: 1.0,
    ],
)
def test_sums_and_what_is_no_number_are_refused(loss: Any) -> None:
    net = linear()
    plan = sh.Plan(net, sh.L1(LAMBDA))
    for use in (sh.certify, sh.polish, sh.measure):
        with pytest.raises(FitError, match="not a mean over examples"):
            use(net, plan, (X, NUMBER), loss)


def test_the_cox_likelihood_as_a_sum_is_refused_and_its_remedy_works() -> None:
    net = linear()
    plan = sh.Plan(net, sh.L1(LAMBDA))
    with pytest.raises(FitError, match="Divide the sum by the number of examples"):
        sh.certify(net, plan, (X, SURVIVAL), lambda p, y: cox(p, y) * y[:, 1].sum())
    net = linear()
    found = sh.certify(
        net, plan := sh.Plan(net, sh.L1(LAMBDA)), (X, SURVIVAL),
        lambda p, y: cox(p, y) * y[:, 1].sum() / len(y),
    )  # fmt: skip
    assert found.loss == pytest.approx(cox_by_hand(np.zeros(120)).mean())
    assert plan is not None


def test_a_single_column_of_events_is_read_row_by_row_however_the_loss_is_written() -> None:
    """Rows in order of time: of a broadcast it would not matter whose an event is."""
    order = TIME.argsort()[::-1].copy()
    x, event = X[order], EVENT[order]

    def naive(prediction: Tensor, y: Tensor) -> Tensor:
        return ((torch.logcumsumexp(prediction, 0) - prediction) * y).sum() / y.sum()

    rewritten: list[Any] = [
        naive,
        lambda p, y: naive(p.squeeze(1), y),
        lambda p, y: naive(p[:, 0], y),
        lambda p, y: naive(p, y.reshape(-1, 1)),
        lambda p, y: naive(p.flatten(), y.flatten()),
    ]
    net = linear()
    plan = sh.Plan(net, sh.L1(LAMBDA))
    right = solved(lambda z: cox_by_hand(z) * len(X) / EVENT.sum())
    assert sh.polish(net, plan, (x, event), naive, tol=1e-5).objective == pytest.approx(
        right, abs=1e-6
    )
    for loss in rewritten:
        for target in (event, event[:, None]):
            found = sh.certify(net, plan, (x, target), loss)
            assert found.objective == pytest.approx(right, abs=1e-6)
            assert found.gap < 1e-5


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, AssertionError, RuntimeError])
def test_what_a_loss_raises_is_told_in_one_typed_error(error: type[Exception]) -> None:
    def broken(_p: Tensor, _y: Tensor) -> Tensor:
        raise error("mine alone")

    net = linear()
    plan = sh.Plan(net, sh.L1(LAMBDA))
    for use in (sh.certify, sh.polish, sh.measure):
        with pytest.raises(FitError, match=r"fit together.*mine alone") as told:
            use(net, plan, (X, NUMBER), broken)
        assert "test_losses.py" in str(told.value)


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (nn.PoissonNLLLoss(), RNG.random((120, 3))),
        (nn.L1Loss(), RNG.random((120, 3))),
        (nn.GaussianNLLLoss(), NUMBER),
        (nn.CTCLoss(), YES.astype(int)),
        (nn.CrossEntropyLoss(), NUMBER),
    ],
)
def test_losses_that_these_targets_do_not_fit_are_refused(loss: Any, y: np.ndarray) -> None:
    net = linear()
    for use in (sh.certify, sh.polish, sh.measure):
        with pytest.raises((FitError, DataError)):
            use(net, sh.Plan(net, sh.L1(LAMBDA)), (X, y), loss)


# ----------------------------------------------------------------------- the best constant


def pinball(p: Tensor, y: Tensor) -> Tensor:
    r = y - p
    return torch.maximum(0.9 * r, -0.1 * r).mean()


def _entropy(p: float) -> float:
    return float(-p * np.log(p) - (1 - p) * np.log(1 - p))


SHARE = float(YES.mean())
CONSTANTS: dict[str, tuple[Any, np.ndarray, float, nn.Module | None]] = {
    "MSE": (nn.MSELoss(), NUMBER, float(NUMBER.var()), None),
    "L1": (nn.L1Loss(), NUMBER, float(abs(NUMBER - np.median(NUMBER)).mean()), None),
    "pinball": (
        pinball,
        NUMBER,
        float(min(pinball(torch.tensor(c), torch.tensor(NUMBER)) for c in NUMBER)),
        None,
    ),
    "Poisson": (nn.PoissonNLLLoss(), COUNT, float(COUNT.mean() * (1 - np.log(COUNT.mean()))), None),
    "rates": (
        nn.PoissonNLLLoss(log_input=False),
        COUNT,
        float(COUNT.mean() * (1 - np.log(COUNT.mean()))),
        nn.Softplus(),
    ),
    "logits": (
        nn.BCEWithLogitsLoss(pos_weight=torch.tensor(POS)),
        YES,
        _entropy(POS * SHARE / (POS * SHARE + 1 - SHARE)) * (POS * SHARE + 1 - SHARE),
        None,
    ),
    "probabilities": (nn.BCELoss(), YES, _entropy(SHARE), nn.Sigmoid()),
    "Cox": (cox, SURVIVAL, float(cox_by_hand(np.zeros(120)).sum() / EVENT.sum()), None),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_the_best_constant_prediction(name: str) -> None:
    loss, y, right, last = CONSTANTS[name]
    net = linear() if last is None else nn.Sequential(linear(), last)
    found = sh.certify(net, sh.Plan(net, sh.L1(LAMBDA)), (X, y), loss)
    assert found.null_objective == pytest.approx(right, abs=1e-5)


def test_the_best_constant_of_log_probabilities_or_none() -> None:
    net = nn.Sequential(linear(2), nn.LogSoftmax(dim=1))
    plan, y = sh.Plan(net, sh.L1(LAMBDA)), YES.astype(int)
    found = sh.certify(net, plan, (X, y), nn.NLLLoss())
    assert found.null_objective == pytest.approx(_entropy(SHARE), abs=1e-6)
    unknown = sh.certify(net, plan, (X, y), lambda p, y: functional.nll_loss(p, y))
    assert np.isnan(unknown.null_objective)
    assert "best constant prediction under this loss is not known" in str(unknown)


# ----------------------------------------------------------------------------- the score


def score(net: nn.Module, y: np.ndarray, loss: Any) -> tuple[str, float]:
    part = sh.measure(net, sh.Plan(net, sh.L1(LAMBDA)), (X, y), loss).parts["data"]
    return part.score_name, part.score


def test_r2_only_where_outputs_are_in_the_units_of_the_targets() -> None:
    net = linear()
    sh.polish(net, sh.Plan(net, sh.L1(LAMBDA)), (X, NUMBER), tol=1e-3)
    usual = score(net, NUMBER, None)
    assert usual[0] == "R²"
    for loss in (nn.MSELoss(), nn.HuberLoss(), nn.L1Loss(), lambda p, y: ((p - y) ** 4).mean()):
        assert score(net, NUMBER, loss) == usual
    for other in (pinball, lambda p, y: (p.exp() - p * y).mean()):
        assert score(net, NUMBER, other)[0] == "−loss"
    name, value = score(net, COUNT, nn.PoissonNLLLoss())
    assert (name, value) == (
        "−loss",
        -nn.PoissonNLLLoss()(net(torch.tensor(X))[:, 0], torch.tensor(COUNT)).item(),
    )


def test_yes_or_no_has_an_accuracy() -> None:
    net = linear()
    sh.polish(net, sh.Plan(net, sh.L1(LAMBDA)), (X, YES), nn.BCEWithLogitsLoss(), tol=1e-3)
    right = float(((net(torch.tensor(X))[:, 0] > 0).numpy() == YES).mean())
    assert right > 0.7
    for y in (YES, YES.astype(int), YES[:, None]):
        assert score(net, y, nn.BCEWithLogitsLoss()) == ("accuracy", right)
    assert score(nn.Sequential(net, nn.Sigmoid()), YES.astype(int), nn.BCELoss()) == (
        "accuracy",
        right,
    )


# ----------------------------------------------------------------------------- the mechanism


def test_a_loss_is_tried_once_and_only_where_it_must_be() -> None:
    calls: list[tuple[int, ...]] = []

    def counted(p: Tensor, y: Tensor) -> Tensor:
        calls.append(tuple(p.shape))
        return ((p - y) ** 2).mean()

    criterion, p, y = loss_for(counted, torch.tensor(NUMBER)), linear()(torch.tensor(X)), NUMBER
    first = criterion(p, torch.tensor(y))
    tried = len(calls)
    assert criterion(p, torch.tensor(y)).item() == first.item()
    assert len(calls) == tried + 1


def test_targets_that_are_all_alike_settle_nothing() -> None:
    """The first batch cannot tell (n, n) from (n,); the second can, and is asked again."""
    criterion = Criterion(lambda p, y: ((p - y) ** 2).mean())
    p = torch.arange(6.0)[:, None]
    assert float(criterion(p, torch.zeros(6))) == pytest.approx(float((p**2).mean()))
    y = torch.arange(6.0)
    assert float(criterion(p, y)) == 0


def test_under_inference_mode_and_no_grad() -> None:
    net, rows = linear(), Examples(torch.tensor(X), torch.tensor(NUMBER))
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            found = evaluate(net, rows, lambda p, y: ((p - y) ** 2).mean())
        assert found.loss == pytest.approx(float((NUMBER**2).mean()))
