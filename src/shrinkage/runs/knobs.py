"""What the tries of a column turn, as records name it: how it is written, and its order."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Knob:
    """``symbol`` and ``sign`` stand before a value; ``short``: the symbol in tables.

    ``ordered``: whether its values go from least to most regularized. Else a choice takes the
    best, and no try goes on from another.
    """

    name: str
    symbol: str
    sign: str = "="
    short: str = ""
    ordered: bool = True

    @property
    def before(self) -> str:
        """What stands before a value in a sentence, such as ``"λ = "``."""
        return f"{self.symbol} {self.sign} "

    @property
    def brief(self) -> str:
        """The same in few letters."""
        return f"{self.short or self.symbol} {self.sign} "


STRENGTH, RATE, DROPOUT = "strength", "learning rate", "dropout"
_KNOWN = (
    Knob(STRENGTH, "λ"),
    Knob(RATE, "learning rate", "×", "lr", ordered=False),
    Knob(DROPOUT, "p"),
    Knob("weight decay", "d"),
    Knob("label smoothing", "ε"),
    Knob("early stopping", "patience", short="wait"),
)


def knob(name: str) -> Knob:
    """The knob of this name; one of the user's own is written as it is called."""
    return next((known for known in _KNOWN if known.name == name), Knob(name, name))
