"""One list of options a command: signature, docstring and --help follow from it."""

import inspect
import pickle
from dataclasses import fields

import pytest
import typer
from typer.testing import CliRunner

import shrinkage as sh
from shrinkage.arguments import Option, Options, Typed, options_of, takes
from shrinkage.cli import app
from shrinkage.compression import compact_run
from shrinkage.compression.options import CompactOptions
from shrinkage.errors import OptionError
from shrinkage.experiments.options import ContrastOptions, PathOptions
from shrinkage.explorer.options import ExploreOptions

COMMANDS = {
    "path": (sh.path, PathOptions),
    "contrast": (sh.contrast, ContrastOptions),
    "explore": (sh.explore, ExploreOptions),
    "compact": (compact_run, CompactOptions),
}


@pytest.fixture(params=COMMANDS)
def command(request):
    return request.param, *COMMANDS[request.param]


def parameters_typed(name: str) -> dict[str, typer.core.TyperOption]:
    found = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return {parameter.name: parameter for parameter in found.params}


def test_the_signature_is_the_record(command) -> None:
    _, function, record = command
    parameters = inspect.signature(function).parameters
    assert parameters.keys() == {field.name for field in fields(record)}
    for row in options_of(record):
        assert parameters[row.name].default == row.default
        keyword = parameters[row.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert keyword == row.field.kw_only


def test_every_option_is_described_in_the_docstring(command) -> None:
    _, function, record = command
    text = inspect.getdoc(function)
    for row in options_of(record):
        assert f"\n{row.name} : " in text
        assert row.option.help.split()[0] in text
    order = [text.index(f"\n{title}\n---") for title in ("Parameters", "Raises")]
    assert order == sorted(order)


def test_every_option_that_can_be_typed_is_on_the_command_line(command) -> None:
    name, _, record = command
    there = parameters_typed(name)
    for row in options_of(record):
        if isinstance(row.option, Typed):
            assert row.option.help in there[row.name].help  # type: ignore[operator]
        else:
            assert row.name not in there


def test_help_tells_what_is_taken_where_an_option_is_not_given() -> None:
    shown = " ".join(
        CliRunner().invoke(app, ["path", "--help"], env={"COLUMNS": "200"}).output.split()
    )
    assert "default: (found on the data)" in shown
    assert "default: (0.2)" in shown
    assert "The path" in shown


@pytest.mark.parametrize("call", [
    lambda: sh.path("linear", "wine", poinst=3),
    lambda: sh.path("linear", "wine", "l1", 25),
    lambda: sh.path("linear"),
    lambda: sh.path("linear", "wine", "l1", data="wine"),
])  # fmt: skip
def test_a_wrong_call_is_one_typed_error_and_a_type_error(call) -> None:
    with pytest.raises(OptionError) as error:
        call()
    assert isinstance(error.value, TypeError)
    assert isinstance(error.value, sh.ShrinkageError)
    assert "help(sh.path)" in str(error.value)


def test_a_slip_of_the_keys_is_recognised() -> None:
    with pytest.raises(OptionError, match=r"that: got an unexpected .* Did you mean 'points'"):
        sh.path("linear", "wine", "l1", poinst=3)


def test_model_data_and_penalty_by_place_and_by_name(tmp_path) -> None:
    small = {"points": 2, "refine": 0, "seeds": 1, "train_size": 40, "jobs": 1}
    placed = sh.path("linear", "wine", "l1", run=tmp_path / "a", **small)
    named = sh.path(penalty="l1", data="wine", make_model="linear", run=tmp_path / "b", **small)
    mixed = sh.path("linear", penalty="l1", data="wine", run=tmp_path / "c", **small)
    tables = [str(one).replace(str(one.folder), "") for one in (placed, named, mixed)]
    assert tables[0] == tables[1] == tables[2]


def test_public_functions_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(sh.path)) is sh.path  # noqa: S301


def test_a_record_without_a_text_for_a_field_is_refused() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Silent(Options):
        a: int = 0

    with pytest.raises(AttributeError):
        takes(Silent)(lambda options: options.a)


def test_a_text_for_python_alone_is_not_typed() -> None:
    assert not isinstance(Option("x"), Typed)


def test_a_notebook_completes_options() -> None:
    jedi = pytest.importorskip("jedi")
    asked = jedi.Interpreter('sh.path(None, None, "l1", poi', [{"sh": sh}])
    assert {"points=", "point_epochs="} <= {found.name for found in asked.complete()}


def test_remedies_can_be_typed_as_they_stand() -> None:
    with pytest.raises(sh.ShrinkageError, match=r"Write columns=\['none', 'l1'\]"):
        sh.contrast(None, "wine", columns="none,l1")  # type: ignore[arg-type]
    with pytest.raises(sh.ShrinkageError, match="refit=None leaves the refits out"):
        sh.path("linear", "wine", "l1", refit=False)
