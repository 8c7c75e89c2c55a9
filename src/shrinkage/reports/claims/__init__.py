"""What a run says about each claim of the lesson, in one computed sentence each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType

from shrinkage.lesson import Verdict
from shrinkage.reports.claims.comparisons import dropout, in_different_ways, pruning
from shrinkage.reports.claims.costs import cost_split, coverage, penalty_share
from shrinkage.reports.claims.overfitting import overfitting
from shrinkage.reports.claims.selection import concentration, selection
from shrinkage.reports.claims.sentences import Claim
from shrinkage.reports.claims.sizes import activations, compromise, overpowering, smaller
from shrinkage.reports.claims.steps import constant_step, proportional_step
from shrinkage.reports.claims.survival import survival
from shrinkage.reports.facts import Facts
from shrinkage.runs import RunView

__all__ = ["CLAIMS", "Claim", "Verdict", "judge"]


@dataclass(frozen=True)
class Statement:
    """A claim of the lesson; ``of_choice``: it speaks of the chosen tries."""

    text: str
    judge: Callable[[Facts], Claim]
    of_choice: bool = True


CLAIMS = MappingProxyType(
    {
        "cost_split": Statement(
            "L1 adds λ·Σ|w| to the loss, L2 adds λ·Σw².", cost_split, of_choice=False
        ),
        "penalty_share": Statement(
            "λ is usually below 1; a large λ makes the penalty term large.",
            penalty_share,
            of_choice=False,
        ),
        "coverage": Statement(
            "All parameters are constrained: weights and biases of convolutional and fully "
            "connected layers (pooling has none).",
            coverage,
            of_choice=False,
        ),
        "smaller": Statement("Both push weights toward smaller values.", smaller, of_choice=False),
        "overfitting": Statement("That reduces overfitting.", overfitting),
        "activations": Statement("Smaller weights mean smaller activations.", activations),
        "overpowering": Statement("No filter overpowers the others.", overpowering),
        "constant_step": Statement(
            "L1 shrinks every weight by the same amount toward zero.", constant_step
        ),
        "proportional_step": Statement(
            "L2 shrinks in proportion to the weight: large ones much, small ones hardly.",
            proportional_step,
        ),
        "selection": Statement(
            "L1 takes unimportant weights all the way to zero: feature selection.", selection
        ),
        "pruning": Statement(
            "Zeros found while training are worth more than weights cut afterwards.", pruning
        ),
        "concentration": Statement(
            "L1 concentrates the network into few, highly important connections.", concentration
        ),
        "survival": Statement(
            "A large weight survives only if it improves the loss enough.", survival
        ),
        "compromise": Statement(
            "A compromise between small weights and low loss: a small λ prefers the loss, "
            "a large λ small weights.",
            compromise,
            of_choice=False,
        ),
        "in_different_ways": Statement("L1 and L2 work in different ways.", in_different_ways),
        "dropout": Statement("Dropout is another tool of the same family.", dropout),
    }
)


def judge(view: RunView) -> dict[str, Claim]:
    """Verdict and sentence of every claim.

    Before the choice is made, claims about chosen tries stay undecided: what they say is then
    about the tries with the lowest validation loss so far.
    """
    facts = Facts(view)
    return {name: _judged(statement, facts) for name, statement in CLAIMS.items()}


def _judged(statement: Statement, facts: Facts) -> Claim:
    claim = statement.judge(facts)
    if statement.of_choice and facts.stage == "fitting" and claim.verdict != "not measured":
        return replace(claim, verdict="undecided", sentence=f"So far: {claim.sentence}")
    return claim
