"""Numbers in words: one way to write each kind."""

from collections.abc import Sequence
from math import isfinite

from shrinkage.lesson.estimates import Difference
from shrinkage.reports.seed_figures import Figure


def num(value: float | None, digits: int = 3) -> str:
    """Three significant digits, with a real minus and no exponent where it can be helped.

    >>> num(1263.375), num(-0.02041), num(3e-7), num(None), num(float("inf"))
    ('1,263', '−0.0204', '3·10⁻⁷', '—', '—')
    """
    if value is None or not isfinite(value):
        return "—"
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-5:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        text = f"{mantissa}·10{str(int(exponent)).translate(RAISED)}"
    elif size >= 10 ** (digits - 1):
        text = f"{value:,.0f}"
    else:
        text = f"{float(f'{value:.{digits}g}'):.10f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(value: float | None) -> str:
    """A share in per cent, one decimal; never rounded to 0 or 100 where it is not.

    >>> percent(0.5), percent(0.99999), percent(0.0), percent(0.00001)
    ('50.0 %', '> 99.9 %', '0 %', '< 0.1 %')
    """
    if value is None:
        return "—"
    if value in (0, 1):
        return f"{value:.0%}".replace("%", " %")
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 < value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f} %".replace("-", "−")


def spread(figure: Figure | None, digits: int = 3) -> str:
    """Mean ± standard deviation over seeds, which has a digit less; the mean alone with one seed.

    >>> spread(Figure(22.4, 13.9), 2), spread(Figure(1263.4, None)), spread(None)
    ('22 ± 14', '1,263', '—')
    """
    if figure is None:
        return "—"
    mean, sd = figure.mean, figure.sd
    if sd is None:
        return num(mean, digits)
    rounding = 1e-12 * abs(mean)  # equal values may differ by it
    return f"{num(mean, digits)} ± {num(sd if sd > rounding else 0.0, digits - 1)}"


def count(value: float | None) -> str:
    """A mean of counts, with a decimal where it is not whole.

    >>> count(8.666), count(7.0), count(None)
    ('8.7', '7', '—')
    """
    if value is None:
        return "—"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def score(name: str, value: float | None) -> str:
    """A score: accuracies in per cent, others as they are."""
    return percent(value) if name == "accuracy" else num(value)


def score_spread(name: str, mean: float | None, sd: float | None) -> str:
    """A score's mean ± standard deviation."""
    if mean is None or sd is None:
        return score(name, mean)
    if name == "accuracy":
        return f"{100 * mean:.1f} ± {100 * sd:.1f} %"
    return f"{num(mean)} ± {num(sd, 2)}"


def strength(value: float | None) -> str:
    """A strength λ."""
    return "—" if value is None else f"{value:g}"


def signed(found: Difference | None) -> str:
    """A difference with its standard error.

    >>> signed(Difference(-0.5, 0.25, 3)), signed(Difference(0.25, None, 1))
    ('−0.5 ± 0.25', '+0.25')
    """
    if found is None:
        return "—"
    text = ("+" if found.mean > 0 else "") + num(found.mean)
    return text if found.se is None else f"{text} ± {num(found.se, 2)}"


def capital(text: str) -> str:
    """Text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def listed(words: Sequence[str]) -> str:
    """Words with commas and an "and".

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
