#!/usr/bin/env bash
# scikit-learn 1.9.1, SGDRegressor and SGDClassifier with penalty="l1"
#
# Guess: one pass by partial_fit, a row at a time, is one epoch of fit(shuffle=False), a row at a
#        time: same rows, same order, same steps, same counter t_, hence the same coefficients.
# Seen:  without a penalty and with L2 it is (to rounding). With L1 it is not: the "cumulative penalty"
#        keeps for each weight how much L1 it still owes, and every call of partial_fit begins with no
#        debts. Fed by rows, nothing is ever owed and almost nothing is zero: 29 of 30 weights stay,
#        where fit and partial_fit on all rows at once keep 11 (regressor) and 5 (classifier). Nothing
#        is said; the zeros of a streamed L1 depend on the size of its chunks.
# Output: a line per model: nonzeros after fit, after partial_fit by 200, 50, 10 and 1 rows.
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
from sklearn.linear_model import SGDClassifier, SGDRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 30))
y = X[:, :5].sum(1) + rng.normal(size=200)


def pass_over(kind, targets, penalty, rows=None):
    model = kind(penalty=penalty, alpha=0.1, shuffle=False, tol=None, max_iter=1, random_state=0,
                 learning_rate="constant", eta0=0.01)
    if rows is None:
        return model.fit(X, targets)
    known = {"classes": [0, 1]} if kind is SGDClassifier else {}
    for start in range(0, 200, rows):
        model.partial_fit(X[start : start + rows], targets[start : start + rows], **known)
    return model


as_seen = True
for kind, targets in ((SGDRegressor, y), (SGDClassifier, (y > 0).astype(int))):
    for penalty in (None, "l2", "l1"):
        whole = pass_over(kind, targets, penalty)
        by = {rows: pass_over(kind, targets, penalty, rows) for rows in (200, 50, 10, 1)}
        assert all(model.t_ == whole.t_ for model in by.values())
        equal = {rows: np.allclose(model.coef_, whole.coef_, rtol=1e-9) for rows, model in by.items()}
        counts = {rows: int(np.count_nonzero(model.coef_)) for rows, model in by.items()}
        print(f"{kind.__name__:13s} {penalty!s:4s} fit: {np.count_nonzero(whole.coef_)} nonzero;"
              f" partial_fit by rows: {counts}; equal to fit: {equal}")
        if penalty == "l1":
            as_seen &= equal[200] and counts[1] > 2 * np.count_nonzero(whole.coef_)
        else:
            as_seen &= all(equal.values())
sys.exit(not as_seen)
PY
