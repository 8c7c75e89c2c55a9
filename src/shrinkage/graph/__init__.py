"""What a network's code does to its units, from one reading of torch functions.

Which units (filters, neurons) must stay or vanish together, what is connected, what is invariant
to scale; cutting and putting back.
"""

from shrinkage.graph._trace import CallError, Inputs, trace, unfrozen
from shrinkage.graph.call import NetworkError, UnknownStructureError
from shrinkage.graph.record import Channelwise, Layer, Op, Recording
from shrinkage.graph.units import NONE, Balance, Units

__all__ = [
    "NONE",
    "Balance",
    "CallError",
    "Channelwise",
    "Inputs",
    "Layer",
    "NetworkError",
    "Op",
    "Recording",
    "Units",
    "UnknownStructureError",
    "trace",
    "unfrozen",
]
