"""Reference networks, and how a user's own is found, built and checked."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch
from torch import nn

from shrinkage.data import Spec
from shrinkage.data.models import (
    MODELS,
    build,
    default_model,
    lenet_5,
    linear,
    mlp,
    resolve,
    set_dropout,
    takes_dropout,
)
from shrinkage.data.outputs import check_output, warn_of_probabilities
from shrinkage.data.user_code import load_object
from shrinkage.errors import ModelError, ShrinkageWarning

TABLE = Spec(13, (13,), 3)
DIGITS = Spec(64, (1, 8, 8), 10)
MNIST = Spec(784, (1, 28, 28), 10)
CIFAR = Spec(3072, (3, 32, 32), 10)
ODD = Spec(1 * 17 * 30, (1, 17, 30), 4)


def fails(*parts: str) -> Any:
    """ModelError whose message holds all ``parts``, in this order."""
    pattern = "(?s)" + ".*".join(
        "".join("\\" + c if c in r".[]()+*?{}|^$\\" else c for c in part) for part in parts
    )
    return pytest.raises(ModelError, match=pattern)


def names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_children()]


def weights(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# ---------------------------------------------------------------------------------- reference


@pytest.mark.parametrize(
    ("name", "spec"),
    [(name, spec) for name in ("linear", "mlp", "lenet-300-100") for spec in (TABLE, DIGITS, ODD)]
    + [("cnn", spec) for spec in (DIGITS, MNIST, CIFAR, ODD, Spec(16, (1, 4, 4), 2))]
    + [("lenet-5", spec) for spec in (MNIST, CIFAR, ODD, Spec(256, (1, 16, 16), 2))],
)
def test_every_model_fits_its_spec_and_has_gradients_everywhere(name: str, spec: Spec) -> None:
    torch.manual_seed(0)
    model = build(MODELS[name], spec)
    check_output(model, spec, "classification")
    x, y = torch.randn(8, *spec.input_shape), torch.arange(8) % spec.n_outputs
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            assert p.grad is not None
            assert p.grad.any()
            p -= 1e-3 * p.grad
        assert nn.functional.cross_entropy(model(x), y) < loss


def test_known_sizes() -> None:
    assert weights(MODELS["lenet-300-100"](MNIST)) == 266_610
    assert weights(MODELS["lenet-5"](MNIST)) == 431_080
    assert weights(linear(TABLE)) == 42
    assert weights(mlp(TABLE)) == 14 * 64 + 65 * 64 + 65 * 3


def test_layers_have_readable_names() -> None:
    dense = ["flatten", "fc1", "relu1", "dropout1", "fc2", "relu2", "dropout2", "out"]
    assert names(linear(TABLE)) == ["flatten", "out"]
    assert names(mlp(TABLE)) == names(MODELS["lenet-300-100"](TABLE)) == dense
    convolutions = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2"]
    for spec in (DIGITS, MNIST):
        tail = ["flatten", "fc1", "relu3", "dropout", "out"]
        assert names(MODELS["cnn"](spec)) == [*convolutions, *tail]
    assert names(lenet_5(MNIST))[:5] == ["conv1", "pool1", "conv2", "pool2", "flatten"]


def test_images_too_small_or_none() -> None:
    with fails("lenet-5 cannot take", "(1, 8, 8)", "at least 16×16", "cnn"):
        lenet_5(DIGITS)
    for name in ("cnn", "lenet-5"):
        with fails(f"{name} cannot take", "(13,)", "mlp"):
            build(MODELS[name], TABLE)
    with fails("cnn cannot take", "(1, 3, 9)", "at least 4×4"):
        build(MODELS["cnn"], Spec(27, (1, 3, 9), 2))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "linear"])
def test_dropout_layers_always_exist(name: str) -> None:
    model = MODELS[name](MNIST)
    layers = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert layers
    assert {m.p for m in layers} == {0}
    assert set_dropout(model, 0.25) == len(layers)
    assert {m.p for m in layers} == {0.25}
    again = build(MODELS[name], MNIST, dropout=0.5)
    assert {m.p for m in again.modules() if isinstance(m, nn.Dropout)} == {0.5}
    for p in (-0.1, 1.0, float("nan")):
        with fails("dropout is out of range"):
            MODELS[name](MNIST, dropout=p)
        with fails("dropout is out of range"):
            set_dropout(model, p)


def test_set_dropout_finds_every_kind() -> None:
    kinds = (nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.FeatureAlphaDropout())
    model = nn.Sequential(*kinds, nn.Sequential(nn.Dropout3d(), nn.Linear(1, 1)))
    assert set_dropout(model, 0) == 5
    assert set_dropout(linear(TABLE), 0.5) == 0


def test_default_model() -> None:
    assert (default_model(True), default_model(False)) == ("cnn", "mlp")
    assert {default_model(True), default_model(False)} <= set(MODELS)


# ------------------------------------------------------------------------------------ resolve


def test_resolve_names_and_callables() -> None:
    assert resolve("mlp") is mlp
    assert resolve("lenet-5") is lenet_5
    assert resolve(linear) is linear
    assert resolve(nn.Identity) is nn.Identity


def test_resolve_refused() -> None:
    with fails("unknown model", "'lenet5'", "Did you mean 'lenet-5'"):
        resolve("lenet5")
    with fails("made anew for every fit", "a Linear that exists", "lambda: MyNetwork"):
        resolve(nn.Linear(1, 1))
    with fails("made anew for every fit", "a int"):
        resolve(3)  # type: ignore[arg-type]


USER = """
from torch import nn
from my_helper import WIDTH

SIZE = 3

class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.fc = nn.Linear(spec.n_inputs, spec.n_outputs * WIDTH)

    def forward(self, x):
        return self.fc(x)

def make_net(spec):
    return Net(spec)
"""


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    (tmp_path / "my_helper.py").write_text("WIDTH = 1\n", "utf-8")
    (tmp_path / "nets.py").write_text(USER, "utf-8")
    return tmp_path / "nets.py"


def forget_helper() -> None:
    module = sys.modules.pop("my_helper", None)
    if module is not None:
        cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture(autouse=True)
def _forget() -> Any:
    yield
    forget_helper()


def test_load_object_from_a_file(user_file: Path) -> None:
    path = list(sys.path)
    factory = resolve(f"{user_file}:make_net")
    model = build(factory, TABLE)
    check_output(model, TABLE, "classification")
    assert sys.path == path
    assert load_object(f"{user_file}:make_net") is factory  # the file is run once
    assert isinstance(model, load_object(f"{user_file}:Net"))  # type: ignore[arg-type]


def test_an_edited_file_is_read_anew(user_file: Path) -> None:
    before = load_object(f"{user_file}:make_net")
    user_file.write_text(USER.replace("n_outputs * WIDTH", "n_outputs + 1"), "utf-8")
    after = load_object(f"{user_file}:make_net")
    assert build(before, TABLE)(torch.zeros(1, 13)).shape == (1, 3)
    assert build(after, TABLE)(torch.zeros(1, 13)).shape == (1, 4)


def test_the_import_works_from_the_current_folder(
    user_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(user_file.parent)
    assert callable(load_object("nets.py:make_net"))


def test_users_objects_reach_a_process_that_lacks_the_file(user_file: Path, tmp_path: Path) -> None:
    factory = load_object(f"{user_file}:make_net")
    model = build(factory, TABLE)
    (tmp_path / "job.pkl").write_bytes(cloudpickle.dumps((factory, model)))
    user_file.unlink()
    (user_file.parent / "my_helper.py").unlink()
    code = (
        "import pickle, sys, torch; from shrinkage.data import Spec;"
        "factory, model = pickle.load(open(sys.argv[1], 'rb'));"
        "shape = tuple(factory(Spec(5, (5,), 2))(torch.zeros(1, 5)).shape);"
        "print(shape, model.fc.weight.sum().item())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "job.pkl"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.stdout.strip() == f"(1, 2) {model.fc.weight.sum().item()}", done.stderr  # type: ignore[union-attr, operator]


def test_load_object_refused(user_file: Path) -> None:
    folder = user_file.parent
    for reference in ("nets.py", "nets.py:", "nets:make_net", ":make_net", "nets.txt:make"):
        with fails("not a reference to an object in a file", reference, "FILE.py:NAME"):
            load_object(reference)
    with fails("file not found", "net.py", "Did you mean 'nets.py'"):
        load_object(f"{folder}/net.py:make_net")
    with fails("nets.py has no callable 'make_ne'", "no such name", "Did you mean 'make_net'"):
        load_object(f"{user_file}:make_ne")
    with fails("nets.py has no callable 'SIZE'", "a int", "Net, make_net"):
        load_object(f"{user_file}:SIZE")
    for text, parts in (
        ("def broken(:\n", ("SyntaxError",)),
        ("import no_such_module_at_all\n", ("ModuleNotFoundError", "no_such_module_at_all")),
        ("1 / 0\n", ("ZeroDivisionError", "division by zero")),
        ("raise SystemExit(3)\n", ("SystemExit: 3",)),
    ):
        (folder / "bad.py").write_text(text, "utf-8")
        modules = set(sys.modules)
        with fails("bad.py cannot be imported", *parts):
            load_object(f"{folder}/bad.py:make")
        assert set(sys.modules) == modules


# -------------------------------------------------------------------------------------- build


class ByShape(nn.Module):
    def __init__(self, spec: Spec, width: int = 1) -> None:
        super().__init__()
        self.fc = nn.Linear(spec.n_inputs, spec.n_outputs * width)


class Fixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(13, 3)


def optional(spec: Spec | None = None, width: int = 3) -> nn.Module:
    return nn.Linear(2 if spec is None else spec.n_inputs, width)


def keyword_dropout(spec: Spec, *, dropout: float) -> nn.Module:
    return mlp(spec, dropout)


def decorated(*args: Any, **kwargs: Any) -> nn.Module:
    return mlp(*args, **kwargs)


@pytest.mark.parametrize(
    "factory",
    [
        linear,
        Fixed,
        ByShape,
        lambda: nn.Linear(13, 3),
        lambda s: nn.Linear(s.n_inputs, s.n_outputs),
        lambda width=13: nn.Linear(width, 3),
        partial(mlp, dropout=0.5),
        partial(mlp, TABLE),
        partial(ByShape, width=1),
        optional,
        decorated,
    ],
)
def test_build_takes_factories_with_and_without_spec(factory: Callable[..., nn.Module]) -> None:
    model = build(factory, TABLE)
    assert isinstance(model, nn.Module)
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert shapes[0][1] == 13
    assert shapes[-1] == (3,)
    assert build(factory, TABLE) is not model


def test_build_passes_dropout_only_where_it_is_asked_for_and_taken() -> None:
    def p_of(factory: Callable[..., nn.Module], dropout: float | None) -> list[float]:
        made = build(factory, TABLE, dropout=dropout)
        return [m.p for m in made.modules() if isinstance(m, nn.Dropout)]

    assert p_of(mlp, None) == [0, 0]
    assert p_of(mlp, 0.3) == [0.3, 0.3]
    assert p_of(partial(mlp, dropout=0.5), None) == [0.5, 0.5]
    assert p_of(partial(mlp, dropout=0.5), 0.3) == [0.3, 0.3]
    assert p_of(lambda dropout: mlp(TABLE, dropout), 0.3) == [0.3, 0.3]
    assert p_of(keyword_dropout, 0.3) == [0.3, 0.3]
    assert p_of(linear, 0.3) == []
    assert p_of(lambda: mlp(TABLE), 0.3) == [0, 0]


def wrong_value(spec: Spec) -> nn.Module:
    raise KeyError("depth")


def test_build_refused() -> None:
    with fails("factory wrong_value failed", "KeyError: 'depth'", "Spec(n_inputs=13"):
        build(wrong_value, TABLE)
    with fails("makes no network", "a NoneType", "return missing"):
        build(lambda: None, TABLE)  # type: ignore[arg-type, return-value]
    with fails("makes no network", "a type", "not its class"):
        build(lambda: Fixed, TABLE)  # type: ignore[arg-type, return-value]
    with fails("factory Linear takes too many", "in_features, out_features", "lambda spec"):
        build(nn.Linear, TABLE)
    with fails("takes too many", "dropout"):
        build(keyword_dropout, TABLE)
    with fails("lenet-5 cannot take"):  # our own errors are not wrapped again
        build(lenet_5, TABLE)


# ------------------------------------------------------------------------------- check_output


class Forward(nn.Module):
    """A network that is one function, with a parameter of a given dtype."""

    def __init__(self, function: Callable[[torch.Tensor], Any], dtype: Any = torch.float32) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(1, dtype=dtype))

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def test_check_output_leaves_the_network_as_it_was() -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(13), nn.Dropout(0.5), nn.Linear(13, 3))
    model[1].eval()  # a frozen layer in a training network
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    check_output(model, TABLE, "classification")
    assert torch.equal(torch.rand(1), expected)
    assert [m.training for m in model.modules()] == [True, True, False, True, True]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())

    with fails("wrong output"):
        check_output(model, Spec(13, (13,), 4), "classification")
    assert [m.training for m in model.modules()] == [True, True, False, True, True]


def test_check_output_uses_the_dtype_of_the_network() -> None:
    check_output(mlp(TABLE).double(), TABLE, "classification")
    check_output(nn.Linear(13, 1), Spec(13, (13,), 1), "regression")
    check_output(nn.LazyLinear(3), TABLE, "classification")
    check_output(nn.Identity(), Spec(3, (3,), 3), "regression")


def test_check_output_refused() -> None:
    one = Spec(13, (13,), 1)
    with fails("Linear cannot take these inputs", "RuntimeError", "(n, 13)", "spec"):
        check_output(nn.Linear(7, 3), TABLE, "classification")
    with fails("Linear has a wrong output", "shape (2, 4)", "(2, 3)", "one logit per class"):
        check_output(nn.Linear(13, 4), TABLE, "classification")
    with fails("wrong output", "shape (2,)", "(2, 1)", "one number per target"):
        check_output(Forward(lambda x: x.sum(1)), one, "regression")
    with fails("wrong output", "got tuple"):
        check_output(Forward(lambda x: (x, x)), TABLE, "classification")
    with fails("not finite", "6 NaN or infinite"):
        check_output(Forward(lambda x: x[:, :3].log()), TABLE, "classification")


def test_only_probabilities_are_warned_of() -> None:
    logits = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    harmless = (logits, logits.log_softmax(1), logits.sigmoid(), logits.softmax(0), logits[:, :1])
    for outputs in harmless:
        warn_of_probabilities(outputs)
    for outputs in (logits.softmax(1), torch.eye(5)):
        with pytest.warns(ShrinkageWarning, match="Return logits"):
            warn_of_probabilities(outputs)


def test_takes_dropout_reads_the_signature() -> None:
    assert takes_dropout(mlp)
    assert takes_dropout(keyword_dropout)
    assert not takes_dropout(linear)
    assert not takes_dropout(lambda spec: linear(spec))
