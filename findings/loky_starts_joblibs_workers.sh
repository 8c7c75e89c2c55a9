#!/usr/bin/env bash
# loky 3.7.0, joblib 1.6.0 (whose own copy of loky is 3.6.0)
#
# Guess: loky's processes are started by loky. joblib's copy of it lives in joblib.externals and is
#        joblib's alone.
# Seen:  Both copies enter their context into multiprocessing's table under the same name, "loky",
#        and look it up there. Whichever is imported last takes both: once joblib is imported, which
#        scikit-learn does, loky.ProcessPoolExecutor() and loky.backend.get_context() have the context
#        of joblib's copy, and worker processes run `-m joblib.externals.loky...`. A version of loky
#        that was installed for a fix in how workers start is not the one that starts them, and
#        nothing is said. With joblib first and loky second it is the other way round.
# Way:   ProcessPoolExecutor(context=loky.backend.context.LokyContext()).
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check loky==3.7.0 joblib==1.6.0
for order in "loky, joblib" "joblib, loky"; do
  "$folder/venv/bin/python" -W error - "$order" <<'PY'
import sys

first, second = sys.argv[1].split(", ")
__import__(first)
__import__(second)

import joblib.externals.loky
import loky
from loky.backend.context import LokyContext


def command():
    with open("/proc/self/cmdline") as file:
        return file.read().split("\0")[2]


found = {}
for name, context in (("by name", None), ("own", LokyContext())):
    pool = loky.ProcessPoolExecutor(max_workers=1, context=context)
    found[name] = pool.submit(command).result()
    pool.shutdown(wait=True)
print(f"{first} before {second}: loky {loky.__version__}, joblib's {joblib.externals.loky.__version__}:", found)
theirs, own = "joblib.externals.loky.backend.popen_loky_posix", "loky.backend.popen_loky_posix"
expected = {"by name": theirs if second == "joblib" else own, "own": own}
sys.exit(0 if found == expected else 1)
PY
done
