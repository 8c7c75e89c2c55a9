#!/usr/bin/env bash
# polars 2.1.0: a csv column of whole numbers in digits that are not ASCII (full-width, Arabic-Indic, Devanagari).
# Guess: such cells are text, as for every other sign that polars does not know (or numbers, as for Python's int()).
# Seen: type inference matches \d, which takes every decimal digit of Unicode, so the column is inferred as Int128; the
# parser takes ASCII digits only, and the whole file is refused:
#   ComputeError: could not parse `１０` as dtype `i128` at column 'w' (column number 1)
# With ignore_errors=True the column becomes null, without a word.
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet polars==2.1.0
"$folder/venv/bin/python" - <<'PY'
import io
import sys

import polars as pl

changed = False
for name, cells in {
    "full-width": ["１０", "１１", "１２"],
    "Arabic-Indic": ["٣٠", "٣١", "٣٢"],
    "Devanagari": ["१०", "११", "१२"],
}.items():
    text = ("w,y\n" + "".join(f"{cell},{k}\n" for k, cell in enumerate(cells))).encode()
    assert [int(cell) for cell in cells]  # valid numbers for Python
    try:
        print(name, "read:", pl.read_csv(io.BytesIO(text))["w"])
        changed = True
    except pl.exceptions.ComputeError as error:
        print(name, "refused:", str(error).splitlines()[0])
    silent = pl.read_csv(io.BytesIO(text), ignore_errors=True)["w"]
    print(name, "with ignore_errors:", silent.dtype, silent.to_list())
    changed |= silent.null_count() != 3
sys.exit(changed)
PY
