"""Other solvers of the same convex problems: (x, y, strength) → coefficients, intercept, seconds.

Each converts the strength of ``mean loss + s·Σ …`` to its own convention. A package that is not
installed raises ImportError with its name. adelie 1.1 asks for numpy < 2 and works with 2 all the
same: ``pip install --no-deps adelie`` and ``pip install matplotlib 'ipython<9'`` beside it.
"""

import warnings
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

Array = NDArray[Any]
Solution = tuple[Array, Array, float]
Rival = Callable[[Array, Array, float], Solution]


def fitted(model: Any, x: Array, y: Array) -> Solution:
    """A scikit-learn-like estimator's coefficients (outputs, inputs), intercepts and seconds."""
    start = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the certificate tells how far it came
        model.fit(x, y)
    seconds = perf_counter() - start
    return np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_), seconds


def saga(x: Array, y: Array, strength: float, passes: int = 3000) -> Solution:
    """scikit-learn, L1 logistic or softmax: C·Σ loss + Σ|w|, so C = 1/(n·s)."""
    from sklearn.linear_model import LogisticRegression

    return fitted(
        LogisticRegression(
            l1_ratio=1.0, C=1 / (len(x) * strength), solver="saga", max_iter=passes, tol=1e-6
        ),
        x,
        y,
    )


def sklearn_lasso(x: Array, y: Array, strength: float) -> Solution:
    """scikit-learn with the Gram matrix: ½ mean squares, so alpha = s/2."""
    from sklearn.linear_model import Lasso

    return fitted(Lasso(strength / 2, precompute=True, tol=1e-8, max_iter=100_000), x, y)


def skglm_lasso(x: Array, y: Array, strength: float) -> Solution:
    """skglm's working sets; alpha = s/2. The first call compiles, on a few rows, untimed."""
    from skglm import Lasso

    x = np.asfortranarray(x)
    Lasso(strength / 2).fit(np.asfortranarray(x[:50]), y[:50])
    return fitted(Lasso(strength / 2, tol=1e-8), x, y)


def skglm_logistic(x: Array, y: Array, strength: float) -> Solution:
    """skglm, two classes: mean loss, so alpha = s. The first call compiles, untimed."""
    from skglm import SparseLogisticRegression

    x = np.asfortranarray(x)
    SparseLogisticRegression(strength).fit(x, y)
    return fitted(SparseLogisticRegression(strength, tol=1e-8, max_iter=200), x, y)


def adelie_lasso(x: Array, y: Array, strength: float) -> Solution:
    """adelie, ½ mean squares: λ = s/2."""
    import adelie

    return _adelie(x, adelie.glm.gaussian(np.ascontiguousarray(y)), strength / 2, 1)


def adelie_logistic(x: Array, y: Array, strength: float) -> Solution:
    """adelie, two classes: λ = s."""
    import adelie

    return _adelie(x, adelie.glm.binomial(np.ascontiguousarray(y, dtype=float)), strength, 1)


def adelie_softmax_inputs(x: Array, y: Array, strength: float) -> Solution:
    """adelie, groups of all K weights of an input, loss over K: λ = s·√K/K."""
    import adelie

    classes = int(y.max()) + 1
    loss = adelie.glm.multinomial(np.eye(classes)[y])
    return _adelie(x, loss, strength * classes**0.5 / classes, classes)


def _adelie(x: Array, loss: Any, strength: float, outputs: int) -> Solution:
    """The last of 20 strengths that fall to the one asked for: the path warms each other up."""
    import adelie

    x = np.asfortranarray(x)
    start = perf_counter()
    state = adelie.grpnet(
        x,
        loss,
        penalty=np.ones(x.shape[1]),
        lmda_path=np.geomspace(100 * strength, strength, 20),
        early_exit=False,
        progress_bar=False,
        tol=1e-10,
        irls_tol=1e-10,
    )
    seconds = perf_counter() - start
    coefficients = state.betas[-1].toarray().reshape(x.shape[1], outputs).T
    return coefficients, np.atleast_1d(state.intercepts[-1]), seconds
