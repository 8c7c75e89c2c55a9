"""Every law on every penalty of the catalogue, in both precisions, with both kinds of step."""

import pytest
import torch
from hypothesis import given, settings

from .catalogue import CATALOGUE, EXPORTED, REDUCTIONS, Case, Reduction
from .laws import DTYPES, KINDS, LAWS, Kind, Law, same_penalty, samples, uphold

by_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
by_kind = pytest.mark.parametrize("kind", KINDS)


@by_kind
@by_dtype
@pytest.mark.parametrize("case", CATALOGUE, ids=lambda case: case.name)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Law, case: Case, dtype: torch.dtype, kind: Kind) -> None:
    uphold(law, case, dtype, kind)


@by_kind
@by_dtype
@pytest.mark.parametrize("reduction", REDUCTIONS, ids=lambda reduction: reduction.name)
def test_reduction(reduction: Reduction, dtype: torch.dtype, kind: Kind) -> None:
    @settings(max_examples=40)
    @given(pair=reduction.pairs, sample=samples(dtype, kind))
    def trial(pair, sample):
        same_penalty(reduction, *pair, sample)

    trial()


def test_every_exported_penalty_has_a_row() -> None:
    assert {case.kind for case in CATALOGUE} == set(EXPORTED)
    assert len(EXPORTED) >= 4


@pytest.mark.parametrize("case", CATALOGUE, ids=lambda case: case.name)
def test_the_catalogue_draws_strength_zero_and_more(case: Case) -> None:
    """A strategy that only ever drew zeros would make every law hold."""
    values: list[float] = []

    @settings(max_examples=60)
    @given(case.penalties)
    def collect(penalty):
        values.append(float(penalty.value(torch.ones(1, 4, dtype=torch.float64))))

    collect()
    assert min(values) == 0
    assert sum(value > 0.1 for value in values) >= 10


@by_kind
def test_the_samples_reach_every_corner(kind: Kind) -> None:
    seen: set[str] = set()

    @settings(max_examples=200)
    @given(samples(torch.float64, kind))
    def collect(sample):
        zeros = sample.w == 0
        seen.update(["zeros"] if zeros.any() else [])
        seen.update(["empty"] if sample.w.numel() == 0 else [])
        seen.update(["number"] if sample.w.ndim == 0 else [])
        seen.update(["both signs"] if (sample.w > 0).any() and (sample.w < 0).any() else [])
        seen.update(["dead group"] if zeros.ndim and zeros.numel() and zeros.all(-1).any() else [])
        seen.update(["no step"] if (sample.steps == 0).any() else [])
        seen.update(["long step"] if (sample.steps >= 99).any() else [])
        seen.update(["unequal"] if sample.steps.unique().numel() > 1 else [])

    collect()
    corners = {"zeros", "empty", "number", "both signs", "dead group", "no step", "long step"}
    assert corners | ({"unequal"} if kind == "a step per weight" else set()) <= seen
