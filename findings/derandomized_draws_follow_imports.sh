#!/usr/bin/env bash
# hypothesis 6.170.15 (PyPI), CPython 3.11
#
# Guess: with derandomize=True a test sees the same examples wherever and whenever it runs.
# Seen:  the examples change as soon as another module of the same project has been imported, even
#        one that the test never uses. Hypothesis takes constants out of the source of every local
#        module in sys.modules and mixes them into its draws, derandomized or not. So a property
#        test may pass alone and fail beside other tests, and "deterministic in CI" holds only for
#        one selection of tests in one order.
# Output: "alone" and "beside another module" print different digests; "alone" twice the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hypothesis==6.170.15
mkdir "$folder/project"
cd "$folder/project"
cat > unrelated.py <<'PY'
LIMITS = (17.25, 3.5e7, 0.0421, 911.0, 6.02e23)
PY
cat > draws.py <<'PY'
import hashlib, sys
from hypothesis import given, settings, strategies as st

if "beside" in sys.argv:
    import unrelated  # never used below

seen = []

@settings(derandomize=True, database=None, max_examples=200)
@given(st.floats(0, 1e8))
def trial(x):
    seen.append(x)

trial()
print(hashlib.sha256(repr(seen).encode()).hexdigest()[:12])
PY
alone=$("$folder/venv/bin/python" draws.py)
again=$("$folder/venv/bin/python" draws.py)
beside=$("$folder/venv/bin/python" draws.py beside)
echo "alone $alone, alone again $again, beside another module $beside"
[ "$alone" = "$again" ] && [ "$alone" != "$beside" ]
