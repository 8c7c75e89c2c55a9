"""What is typed as text and read as something else."""

from shrinkage.errors import FitError


def parts(text: str | None) -> list[str] | None:
    """The parts between commas; None stays None."""
    if text is None:
        return None
    return [part.strip() for part in text.split(",") if part.strip()]


def strengths(text: str | None) -> list[float] | None:
    """Numbers between commas; :class:`FitError` for anything else. None stays None."""
    try:
        return None if text is None else [float(part) for part in parts(text) or ()]
    except ValueError:
        raise FitError(
            "--strengths is not a list of numbers",
            got=repr(text),
            expected="numbers with commas between them",
            remedy="For instance 1e-4,1e-3,1e-2.",
        ) from None
