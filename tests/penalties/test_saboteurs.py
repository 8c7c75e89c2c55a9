"""The laws can fail: each saboteur is rejected by the laws it names, each law by some saboteur.

``uphold`` is the same harness through which the true penalties pass in ``test_laws``.
"""

from itertools import product

import pytest

from .catalogue import CATALOGUE
from .laws import DTYPES, KINDS, LAWS, Law, uphold
from .saboteurs import SABOTEURS, Saboteur

SETTINGS = tuple(product(DTYPES, KINDS))
CHARGES = [(saboteur, law) for saboteur in SABOTEURS for law in saboteur.caught_by]


def broken(saboteur: Saboteur, law: Law, settings=SETTINGS, examples: int = 200) -> bool:
    """Whether the law rejects the saboteur with some precision and some kind of step."""
    for dtype, kind in settings:
        try:
            uphold(
                law,
                saboteur.case,
                dtype,
                kind,
                penalties=saboteur.penalties,
                shrink=False,
                examples=examples,
            )
        except AssertionError:
            return True
    return False


@pytest.mark.parametrize(
    ("saboteur", "law"), CHARGES, ids=lambda x: getattr(x, "__name__", None) or x.kind.__name__
)
def test_is_rejected(saboteur: Saboteur, law: Law) -> None:
    assert broken(saboteur, law), f"{law.__name__} lets {saboteur.kind.__name__} pass"


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_every_law_has_caught_somebody(law: Law) -> None:
    assert any(law in saboteur.caught_by for saboteur in SABOTEURS)


@pytest.mark.parametrize("case", CATALOGUE, ids=lambda case: case.name)
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_true_penalty_in_a_saboteurs_clothes_is_not_rejected(law: Law, case) -> None:
    """A subclass that changes nothing, through the same door (once: test_laws does the rest)."""
    innocent = Saboteur(type("Innocent", (case.kind,), {}), ())
    assert innocent.case is case
    assert not broken(innocent, law, settings=[(DTYPES[0], KINDS[1])], examples=12)
