"""Small data sets that are always at hand; scikit-learn is imported when one is asked for."""

from collections.abc import Callable, Mapping
from typing import Any

from shrinkage.data.arrays import from_arrays
from shrinkage.data.source import Data


def digits() -> Data:
    """1797 images (1, 8, 8) of handwritten digits in 10 classes, scaled from 0…16 to 0…1."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return from_arrays("digits", bunch.images[:, None] / 16, bunch.target)


def breast_cancer() -> Data:
    """569 tumours, 30 measurements, malignant or benign."""
    from sklearn.datasets import load_breast_cancer

    return _table("breast_cancer", load_breast_cancer())


def wine() -> Data:
    """178 wines, 13 chemical measurements, three cultivars."""
    from sklearn.datasets import load_wine

    return _table("wine", load_wine())


def diabetes() -> Data:
    """442 patients, 10 raw measurements, disease progression after a year (a regression)."""
    from sklearn.datasets import load_diabetes

    return _table("diabetes", load_diabetes(scaled=False))


BUILT_IN: Mapping[str, Callable[[], Data]] = {
    "digits": digits,
    "breast_cancer": breast_cancer,
    "wine": wine,
    "diabetes": diabetes,
}


def _table(name: str, bunch: Any) -> Data:
    plain = from_arrays(name, bunch.data, bunch.target)
    return Data(
        name=name,
        x=plain.x,
        y=plain.y,
        task=plain.task,
        classes=tuple(str(value) for value in bunch.get("target_names", ())),
        columns=tuple(str(value) for value in bunch.feature_names),
        standardise=plain.standardise,
    )
