"""Which units (filters, neurons) of a network must stay or vanish together."""

from shrinkage.coupling.shadows import Channelwise, Layer, Op, Record
from shrinkage.coupling.tracing import CallError, UnknownStructureError, trace
from shrinkage.coupling.units import NONE, Balance, Units

__all__ = [
    "NONE",
    "Balance",
    "CallError",
    "Channelwise",
    "Layer",
    "Op",
    "Record",
    "Units",
    "UnknownStructureError",
    "trace",
]
