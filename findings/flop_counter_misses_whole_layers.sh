#!/usr/bin/env bash
# torch 2.13.0 (CPU), torch.utils.flop_counter.FlopCounterMode
#
# Guess: matrix products are counted wherever they are: an LSTM costs the same in single and double
#        precision, a transformer layer the same in training and in evaluation, and a network that
#        runs without the counter runs with it.
# Seen:  - nn.LSTM in float32: 0 operations, in eval and train; in float64: 172,032, the right number.
#          nn.GRU and nn.RNN are right in both. (The float32 LSTM is one call into oneDNN.)
#        - nn.TransformerEncoderLayer: 241,920 in train(); 0 in eval() under no_grad (the fast path).
#        - nn.Bilinear, a matrix times a vector, and attention's own products on a CPU: 0.
#        - A network whose forward takes a gradient with respect to its input (physics-informed ones)
#          runs, but raises under the counter: RuntimeError, "A leaf node was passed to
#          _will_engine_execute_node but we are currently running autograd.grad()".
#        No warning of what was not counted: a network pruned by half "costs" the same, nothing.
# Exits 0 while that is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W error::UserWarning - <<'PY'
import sys

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def flops(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


class Slope(nn.Module):
    """du/dx of a network, as a physics-informed loss needs it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self.net(x).sum(), x, create_graph=True)[0]


seen = {}
for kind in (nn.LSTM, nn.GRU):
    for dtype in (torch.float32, torch.float64):
        layer, x = kind(16, 32).to(dtype), torch.randn(7, 2, 16, dtype=dtype)
        seen[kind.__name__, dtype] = flops(lambda: layer(x))
layer, x = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), torch.randn(2, 7, 32)
seen["encoder layer", "train"] = flops(lambda: layer(x))
with torch.no_grad():
    seen["encoder layer", "eval"] = flops(lambda: layer.eval()(x))
seen["Bilinear", ""] = flops(lambda: nn.Bilinear(8, 9, 10)(torch.randn(3, 8), torch.randn(3, 9)))
seen["matrix @ vector", ""] = flops(lambda: torch.randn(8, 9) @ torch.randn(9))
slope, x = Slope(), torch.randn(5, 1)
assert slope(x).shape == (5, 1)
try:
    seen["du/dx", ""] = flops(lambda: slope(x))
except RuntimeError as error:
    seen["du/dx", ""] = str(error)[:64]
for (what, how), value in seen.items():
    print(f"{what:16s} {how!s:14s} {value}")
expected = [0, 172032, 129024, 129024, 241920, 0, 0, 0, "A leaf node was passed to _will_engine_execute_node but we are c"]
sys.exit(list(seen.values()) != expected)
PY
