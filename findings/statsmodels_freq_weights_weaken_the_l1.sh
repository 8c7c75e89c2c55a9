#!/usr/bin/env bash
# statsmodels 0.15.0, GLM.fit_regularized(alpha=…, L1_wt=1.0) with freq_weights
#
# Guess: a frequency weight of 2 is the row written down twice, as it is without a penalty; and as all
#        other linear models of the package take weights relative to their sum, weights that are all
#        equal change nothing.
# Seen:  neither. GLM divides the weighted log-likelihood by the number of rows, not by the sum of the
#        weights, so frequency weights of 2 are half the alpha: 13 coefficients instead of 7. The rows
#        written down twice give the 7 of the plain fit. WLS.fit_regularized with the same weights
#        gives the 7, too: it rescales its alpha. Weights that are large counts switch the L1 off.
# Output: plain 7 nonzero, |b|₁ 4.602703 · rows twice the same · WLS with weights 2 the same ·
#         GLM with freq_weights 2: 13, 5.124299, equal to plain at alpha/2.
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check statsmodels==0.15.0 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import statsmodels.api as sm

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 30))
y = X[:, :5].sum(1) + rng.normal(size=200)
twice = np.full(200, 2.0)


def lasso(model, alpha=0.1):
    return np.asarray(model.fit_regularized(alpha=alpha, L1_wt=1.0).params)


found = {
    "plain": lasso(sm.GLM(y, X)),
    "rows twice": lasso(sm.GLM(np.r_[y, y], np.r_[X, X])),
    "WLS, weights 2": lasso(sm.WLS(y, X, weights=twice)),
    "GLM, freq_weights 2": lasso(sm.GLM(y, X, freq_weights=twice)),
    "plain, alpha / 2": lasso(sm.GLM(y, X), alpha=0.05),
}
for name, b in found.items():
    print(f"{name:20s} {np.count_nonzero(b):3d} nonzero, |b|_1 {np.abs(b).sum():.6f}")
unpenalised = [
    sm.GLM(np.r_[y, y], np.r_[X, X]).fit().bse,
    sm.GLM(y, X, freq_weights=twice).fit().bse,
]
print("without a penalty the two agree:", np.allclose(*unpenalised))


def same(a, b):
    return np.allclose(found[a], found[b], atol=1e-5)


as_seen = (
    np.allclose(*unpenalised)
    and same("plain", "rows twice")
    and same("plain", "WLS, weights 2")
    and same("GLM, freq_weights 2", "plain, alpha / 2")
    and not same("GLM, freq_weights 2", "rows twice")
)
sys.exit(not as_seen)
PY
