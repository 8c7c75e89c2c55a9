#!/usr/bin/env bash
# polars 2.1.0, read_csv: whole numbers of more than 38 digits.
# Guess: a column that holds one is read as Float64 (as with 1e40), or, where it is no number that
#   fits, as String, since all rows take part in the inference (infer_schema_length=None).
# Seen: up to 38 digits the column becomes Int128, exactly. From about 39 digits on (beyond 2^127)
#   the inference still says Int128, and reading the file fails with ComputeError "could not parse
#   … as dtype `i128`". One such cell costs the whole file; "1e40" or "1.0" beside it reads as Float64.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet polars==2.1.0
"$work/venv/bin/python" - <<'PY'
import polars as pl


def read(*cells: str) -> pl.DataFrame:
    return pl.read_csv(("a\n" + "\n".join(cells) + "\n").encode(), infer_schema_length=None)


assert read("1", "9" * 38)["a"].dtype == pl.Int128, read("1", "9" * 38)
assert read("1", "9" * 38)["a"][1] == 10**38 - 1
assert read("1", "1e40")["a"].dtype == pl.Float64
assert read("1.5", "9" * 40)["a"].dtype == pl.Float64
try:
    found = read("1", "9" * 40)
except pl.exceptions.ComputeError as error:
    said = str(error).splitlines()[0]
    assert "i128" in said, said
    print("as seen:", said[:100])
else:
    raise SystemExit(f"changed: {found}")
PY
