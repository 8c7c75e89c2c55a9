"""Strengths of other systems as ours: each converter knows the loss the other system writes."""

from collections.abc import Mapping
from math import inf
from sys import float_info
from typing import Literal, Protocol

from shrinkage.arguments import as_choice, as_number
from shrinkage.errors import PenaltyError
from shrinkage.penalties.base import Penalty, check_strength
from shrinkage.penalties.elastic_net import ElasticNet
from shrinkage.penalties.glmnet import GlmnetElasticNet, deviation
from shrinkage.penalties.l1 import L1
from shrinkage.penalties.l2 import L2


class Estimator(Protocol):
    """The part of scikit-learn's estimators that the converter reads."""

    def get_params(self) -> Mapping[str, object]:
        """Names and values of the constructor's arguments."""


def from_weight_decay(weight_decay: float) -> L2:
    """The penalty of ``weight_decay=d`` in SGD, Adam and RMSprop: (d/2)·Σw², that is L2(d/2).

    AdamW's ``weight_decay`` is decoupled and the gradient of no penalty: it has no converter.
    Source: torch.optim.SGD, "g ← g + λθ".

    >>> from_weight_decay(1e-2)
    L2(strength=0.005)
    """
    return L2(check_strength("weight_decay", weight_decay) / 2)


def from_glmnet(
    lambda_: float,
    alpha: float = 1.0,
    *,
    family: Literal["gaussian", "binomial", "multinomial"] = "gaussian",
    y: object = None,
) -> ElasticNet | GlmnetElasticNet:
    """glmnet's λ·[α·Σ|w| + (1−α)/2·Σw²] for a mean loss in PyTorch.

    ``gaussian``: glmnet writes RSS/(2n) and ``nn.MSELoss`` writes RSS/n, so both strengths double;
    and it scales the response to unit (population) variance first, which divides the L2 part by
    sd(y): ElasticNet(2λα, λ(1−α)/sd(y)). ``y`` are the training targets. Without them
    :func:`certify`, :func:`polish`, :func:`path` and :func:`contrast` take those they are given;
    :func:`attach` and a loss term need ``y`` here where α < 1.
    ``binomial``, ``multinomial``: both write the mean log-loss, and nothing is scaled.

    This converts strengths, not data: glmnet also standardises the columns unless told otherwise,
    and brings ``penalty.factor`` to a sum of the number of columns. The intercept has no penalty.
    Source: Friedman, Hastie & Tibshirani, Regularization Paths for GLMs (2010), eq. 1 and 10;
    glmnet's help page ("Details"), for the response.

    >>> from_glmnet(0.1, 0.5, y=[1.0, 5.0])
    ElasticNet(l1=0.1, l2=0.025)
    >>> from_glmnet(0.1, 0.5, family="binomial")
    ElasticNet(l1=0.05, l2=0.025)
    """
    lambda_ = check_strength("lambda_", lambda_)
    mix = "glmnet's alpha is the mix, from 0 (ridge) to 1 (lasso); its strength is lambda."
    alpha = as_number("alpha", alpha, least=0, most=1, remedy=mix, error=PenaltyError)
    remedy = "Name the loss that glmnet used."
    as_choice("family", family, ("gaussian", "binomial", "multinomial"), remedy=remedy,
              error=PenaltyError)  # fmt: skip
    factor = 2.0 if family == "gaussian" else 1.0
    l1, l2 = factor * lambda_ * alpha, factor * lambda_ * (1 - alpha) / 2
    if family != "gaussian" or not l2:
        return ElasticNet(l1=l1, l2=l2)
    return GlmnetElasticNet(l1, l2) if y is None else ElasticNet(l1, l2 / deviation(y))


def from_sklearn(estimator: Estimator, n_samples: float) -> Penalty:
    """The penalty of a scikit-learn linear model, for the mean loss in PyTorch.

    ==================  =======================================  ==========================
    estimator           scikit-learn minimises                   ours, with the mean loss
    ==================  =======================================  ==========================
    Lasso(α)            RSS/(2n) + α·Σ|w|                        L1(2α), MSELoss
    ElasticNet(α, ρ)    RSS/(2n) + αρ·Σ|w| + α(1−ρ)/2·Σw²        ElasticNet(2αρ, α(1−ρ))
    Ridge(α)            RSS + α·Σw²                              L2(α/n), MSELoss
    LogisticRegression  C·Σ log-loss + ρ·Σ|w| + (1−ρ)/2·Σw²      ElasticNet(ρ/(nC), (1−ρ)/(2nC))
    ==================  =======================================  ==========================

    ``n_samples`` is the number of training rows. With class weights it is what the loss divides
    by: the rows for ``BCEWithLogitsLoss(pos_weight=…)``, the sum of the rows' weights for
    ``CrossEntropyLoss(weight=…)``. LogisticRegression of two classes has one logit, for
    ``BCEWithLogitsLoss``; its solver ``liblinear`` also penalises the intercept. Raises
    :class:`PenaltyError` for any other estimator and for ``positive=True``. Source: scikit-learn
    user guide, "Linear Models".

    >>> from sklearn.linear_model import Lasso
    >>> from_sklearn(Lasso(alpha=0.1), n_samples=442)
    L1(strength=0.2)
    """
    from sklearn import linear_model as sk

    n_samples = as_number("n_samples", n_samples, least=1, error=PenaltyError,
                          expected="the number of training rows, at least 1",
                          remedy="Pass len(X).")  # fmt: skip
    if type(estimator) not in (sk.Lasso, sk.ElasticNet, sk.Ridge, sk.LogisticRegression):
        raise _no_converter(estimator)
    p = estimator.get_params()
    if p.get("positive"):
        raise PenaltyError(
            "estimator constrains the signs of its coefficients",
            got="positive=True",
            expected="positive=False",
            remedy="No penalty here says w ≥ 0: clamp the weights, or drop the constraint.",
        )
    if type(estimator) is sk.Lasso:
        return L1(2 * _number(p, "alpha"))
    if type(estimator) is sk.ElasticNet:
        alpha, rho = _number(p, "alpha"), _number(p, "l1_ratio", most=1)
        return ElasticNet(l1=2 * alpha * rho, l2=alpha * (1 - rho))
    if type(estimator) is sk.Ridge:
        return L2(_number(p, "alpha") / n_samples)
    return _logistic(p, n_samples)


def _no_converter(estimator: Estimator) -> PenaltyError:
    return PenaltyError(
        "estimator has no converter",
        got=type(estimator).__name__,
        expected="Lasso, ElasticNet, Ridge or LogisticRegression of scikit-learn",
        remedy=_instead(estimator),
    )


def _logistic(params: Mapping[str, object], n_samples: float) -> ElasticNet:
    remedy = "scikit-learn's C is an inverse strength: C = inf is no penalty."
    above = "a number above 0"
    C = as_number(
        "C", params["C"], above=0, most=inf, expected=above, remedy=remedy, error=PenaltyError
    )
    per_row = 1 / (n_samples * C)  # 0 for C = inf
    # Up to scikit-learn 1.7 the mix is named by `penalty`; since 1.8 `l1_ratio` alone says it.
    penalty = str(params.get("penalty"))
    if penalty == "None":
        return ElasticNet(0.0, 0.0)
    named = {"l1": 1.0, "l2": 0.0}
    rho = named[penalty] if penalty in named else _mix(params)
    return ElasticNet(l1=rho * per_row, l2=(1 - rho) * per_row / 2)


def _mix(params: Mapping[str, object]) -> float:
    remedy = "l1_ratio is the mix: 1 for L1, 0 for L2."
    ratio = params["l1_ratio"]
    if ratio is None and params.get("penalty") != "elasticnet":
        return 0.0
    return as_number("l1_ratio", ratio, least=0, most=1, remedy=remedy, error=PenaltyError)


def _instead(estimator: object) -> str:
    """What to pass for an estimator that has, or has been chosen by, one of the four."""
    name = type(estimator).__name__
    if isinstance(estimator, type):
        return f"Pass an instance: {estimator.__name__}(…)."
    if hasattr(estimator, "best_estimator_"):
        return "Pass its best_estimator_."
    if name == "Pipeline":
        return "Pass its last step, pipeline[-1]."
    if name == "LogisticRegressionCV":
        return "Once it is fitted, pass LogisticRegression(C=model.C_[0], l1_ratio=…)."
    if name in ("LassoCV", "RidgeCV", "ElasticNetCV"):
        mix = ", l1_ratio=model.l1_ratio_" if name == "ElasticNetCV" else ""
        return f"Once it is fitted, pass {name.removesuffix('CV')}(alpha=model.alpha_{mix})."
    return "Build the penalty by hand, for a loss that is a mean over the training rows."


def _number(params: Mapping[str, object], name: str, most: float = float_info.max) -> float:
    remedy = "Pass the estimator with one number for all columns."
    return as_number(name, params[name], least=0, most=most, remedy=remedy, error=PenaltyError)
