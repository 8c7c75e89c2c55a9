#!/usr/bin/env bash
# torch 2.13.0 (CPU), torch.distributed.checkpoint.state_dict
#
# Guess: get_optimizer_state_dict and set_optimizer_state_dict carry the keys of a parameter group
#        from one optimizer to the next, flattened or not, as optimizer.load_state_dict does.
# Seen:  - As it is, every key arrives: also initial_lr, which a scheduler has put there, and one of
#          the user's own.
#        - With flatten_optimizer_state_dict=True the same keys are saved, once for every parameter of
#          the group, and none of them is loaded that the new optimizer does not have yet; nothing is
#          said. The learning rate arrives, already decayed. A scheduler that is then made with
#          last_epoch= raises KeyError: initial_lr; one that is made as at the start takes the
#          decayed learning rate for the first one: here 0.01 where training began with 0.1.
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W error - <<'PY'
import sys

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim.lr_scheduler import StepLR


def begin():
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    return net, torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)


def resumed(flat):
    options = StateDictOptions(flatten_optimizer_state_dict=flat)
    net, optimizer = begin()
    optimizer.param_groups[0]["note"] = 5.0
    scheduler = StepLR(optimizer, 3)
    for _ in range(4):
        net(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        scheduler.step()
    saved = get_optimizer_state_dict(net, optimizer, options=options)
    copies = sum("note" in key for key in saved) if flat else sum("note" in g for g in saved["param_groups"])
    net, optimizer = begin()
    set_optimizer_state_dict(net, optimizer, saved, options=options)
    group = optimizer.param_groups[0]
    arrived = [key for key in ("initial_lr", "note") if key in group]
    try:
        StepLR(optimizer, 3, last_epoch=4)
        goes_on = "yes"
    except KeyError as error:
        goes_on = str(error)[1:27]
    group.pop("initial_lr", None)
    anew = StepLR(optimizer, 3).base_lrs[0] if flat else None
    return copies, arrived, goes_on, anew and round(anew, 6)


seen = [resumed(False), resumed(True)]
for flat, (copies, arrived, goes_on, anew) in zip((False, True), seen):
    print(f"flattened: {flat}; saved {copies} time(s); loaded: {arrived}; "
          f"a scheduler goes on: {goes_on}; made anew it begins at {anew}")
expected = [
    (1, ["initial_lr", "note"], "yes", None),
    (2, [], "param 'initial_lr' is not ", 0.01),
]
sys.exit(seen != expected)
PY
