#!/usr/bin/env bash
# scikit-learn 1.9.1, MLPRegressor and MLPClassifier: alpha, "divided by the sample size when added to the loss"
#
# Guess: the sample size is the number of training rows, so alpha names one cost, and batch_size says
#        only how it is minimised (as in every other estimator of the package, and as weight_decay does).
# Seen:  it is the number of rows of the batch. A network without hidden layers is ridge regression:
#        with 200 rows, alpha=100 and batch_size=200 it ends at Ridge(100), with batch_size=50 at
#        Ridge(400), with batch_size=20 near Ridge(1000). A batch size cut by ten is an L2 ten times
#        as strong, and nothing is said.
# Output: |w| 2.064130 at 200 rows (Ridge(100): 2.064282), about half of it at 50, a quarter at 20.
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 10))
y = 3 * X[:, 0] + rng.normal(size=200)
ALPHA = 100.0


def ridge(alpha):
    return np.linalg.norm(Ridge(alpha).fit(X, y).coef_)


def network(rows):
    model = MLPRegressor(hidden_layer_sizes=(), alpha=ALPHA, batch_size=rows, solver="sgd", momentum=0,
                         learning_rate_init=0.01, max_iter=600, n_iter_no_change=600, tol=0, random_state=0)
    return np.linalg.norm(model.fit(X, y).coefs_[0])


as_seen = True
for rows in (200, 50, 20):
    got, of_batch, guessed = network(rows), ridge(ALPHA * 200 / rows), ridge(ALPHA)
    print(f"batch_size {rows:3d}: |w| {got:.6f}; Ridge({ALPHA * 200 / rows:.0f}) {of_batch:.6f}; guess {guessed:.6f}")
    as_seen &= abs(got / of_batch - 1) < 0.08
sys.exit(not as_seen)
PY
