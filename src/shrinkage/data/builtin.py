"""Small data sets that are always at hand; scikit-learn is imported when one is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from shrinkage.data.arrays import from_arrays
from shrinkage.data.source import Data


def digits() -> Data:
    """1797 images (1, 8, 8) of handwritten digits in 10 classes, scaled from 0…16 to 0…1."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return from_arrays("digits", bunch.images[:, None] / 16, bunch.target)


BUILT_IN: Mapping[str, Callable[[], Data]] = {
    "digits": digits,
    "breast_cancer": lambda: _table("breast_cancer"),  # 569 tumours, malignant or benign
    "wine": lambda: _table("wine"),  # 178 wines of three cultivars
    "diabetes": lambda: _table("diabetes", scaled=False),  # progression after a year (regression)
}


def _table(name: str, **options: object) -> Data:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")(**options)
    plain = from_arrays(name, bunch.data, bunch.target)
    classes = tuple(map(str, bunch.get("target_names", ())))
    return replace(plain, classes=classes, columns=tuple(map(str, bunch.feature_names)))
