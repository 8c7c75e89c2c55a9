"""Along which dimensions the elements of a tensor meet in a function of torch."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from shrinkage.graph.call import Call, UnknownFunctionError
from shrinkage.graph.constants import _has_no_border, _pieces_are_followed
from shrinkage.graph.dims import dims_of
from shrinkage.graph.functions import look_up

X = torch.randn(2, 3, 4, 5)
MEAN, VARIANCE = torch.zeros(3), torch.ones(3)


def call(func: Any, *args: Any, **kwargs: Any) -> Any:
    return Call(func, *look_up(func), args, kwargs)


def meeting(func: Any, *args: Any, **kwargs: Any) -> list[int]:
    """The dimensions in which an element of X acts on others than itself, seen by trying."""
    x = X.clone().requires_grad_()
    out = func(x, *args, **kwargs)
    place = tuple(n // 2 for n in out.shape)
    weights = torch.arange(1.0, 1 + out[place].numel()).reshape(out[place].shape)
    (found,) = torch.autograd.grad((out[place] * weights).sum(), x)
    return [dim for dim in range(X.ndim) if len({int(k) for k in found.nonzero()[:, dim]}) > 1]


@pytest.mark.parametrize(
    ("func", "args", "kwargs"),
    [
        (functional.layer_norm, ((5,),), {}),
        (functional.layer_norm, ((4, 5),), {}),
        (functional.batch_norm, (None, None), {"training": True}),
        (functional.batch_norm, (MEAN, VARIANCE), {"training": True}),
        (functional.batch_norm, (MEAN, VARIANCE), {}),
        (functional.instance_norm, (), {}),
        (functional.softmax, (1,), {}),
        (functional.softmax, (), {"dim": -1}),
        (functional.avg_pool2d, (2,), {}),
        (functional.max_pool2d, (2,), {}),
    ],
)
def test_they_are_those_in_which_one_element_reaches_others(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    dims = sorted(dim % X.ndim for dim in dims_of(call(func, X, *args, **kwargs), X.ndim))
    if func is functional.max_pool2d:  # one element of each window gets through: it may be any
        assert dims == [2, 3]
    else:
        assert dims == meeting(func, *args, **kwargs)


@pytest.mark.parametrize(
    ("dim", "expected"), [(1, (1,)), ((1, -1), (1, -1)), ((), (0, 1, 2, 3)), (None, (0, 1, 2, 3))]
)
def test_sums_have_those_that_are_named_or_all(dim: Any, expected: tuple[int, ...]) -> None:
    assert dims_of(call(torch.sum, X, dim), X.ndim) == expected


def test_a_mix_without_a_dimension_is_not_guessed() -> None:
    with pytest.raises(UnknownFunctionError, match="without a dimension"):
        dims_of(call(functional.softmax, X), X.ndim)


def test_the_old_flag_of_std_is_no_dimension() -> None:
    assert dims_of(call(torch.std, X, False), X.ndim) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("options", "has_none"),
    [
        ({}, True),
        ({"padding": 0}, True),
        ({"padding": (0, 0)}, True),
        ({"padding": 1}, False),
        ({"padding": (0, 1)}, False),
        ({"ceil_mode": True}, False),
        ({"padding": 0, "ceil_mode": False}, True),
    ],
)
def test_a_border_of_zeros_is_a_padding_or_a_window_that_sticks_out(
    options: dict[str, Any], has_none: bool
) -> None:
    assert _has_no_border(call(functional.avg_pool2d, X, 2, **options)) is has_none


def test_pieces_are_followed_where_all_of_them_are() -> None:
    class Followed:
        def __init__(self, known: list[int]) -> None:
            self.known = known

        def get(self, _: str) -> list[int]:
            return [0, 1]

        def of(self, piece: int) -> object:
            return piece if piece in self.known else None

    assert _pieces_are_followed(Followed([0, 1]))  # type: ignore[arg-type]
    assert not _pieces_are_followed(Followed([0]))  # type: ignore[arg-type]
    assert not _pieces_are_followed(Followed([]))  # type: ignore[arg-type]
