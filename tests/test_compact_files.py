"""Compact networks on disk: safetensors and JSON, torch.export, ONNX, and the command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import shrinkage as sh
from architectures import ARCHITECTURES, example, with_dead_units
from folders import of_path, path_fit
from shrinkage.cli import app
from shrinkage.cli.words import command
from shrinkage.compression import Point, compact_run, latency
from shrinkage.compression.chosen import chosen, words
from shrinkage.compression.sparse import SparseLinear, sparsified
from shrinkage.data import load
from shrinkage.errors import CompactionError, RunError, ShrinkageError
from shrinkage.runs import Run, RunView
from shrinkage.runs.chains import weights_key


def small(name: str, **options: object) -> sh.Compact:
    torch.manual_seed(0)
    model = with_dead_units(ARCHITECTURES[name](), 1)
    return sh.compact(model, example(), batch_sizes=(), **options)


@pytest.mark.parametrize("name", ["grouped bottleneck", "depthwise separable", "U-Net", "DenseNet"])
def test_what_is_saved_is_loaded(name: str, tmp_path: Path) -> None:
    found = small(name)
    loaded = sh.load_compact(ARCHITECTURES[name], found.save(tmp_path / "a"))
    assert torch.equal(loaded(example(5)), found.model(example(5)))
    assert not loaded.training
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "compact.json", "weights.safetensors",
    ]  # fmt: skip


def mostly_zeros(width: int = 900) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(width, width, dtype=torch.float64), nn.Linear(width, 3).double()
    )
    with torch.no_grad():
        model[0].weight.mul_(torch.rand_like(model[0].weight) < 0.01)
    return model.eval()


def test_zeros_take_no_room_on_disk(tmp_path: Path) -> None:
    model = mostly_zeros()
    x = torch.randn(2, 900, dtype=torch.float64)
    found = sh.compact(model, x, batch_sizes=())
    before, after = found.report.bytes
    assert after < before / 30
    found.save(tmp_path)
    assert (tmp_path / "weights.safetensors").stat().st_size == after
    loaded = sh.load_compact(mostly_zeros, tmp_path)
    assert torch.equal(loaded(x), found.model(x))
    assert next(loaded.parameters()).dtype == torch.float64


def test_sparse_layers_are_chosen_by_measuring(tmp_path: Path) -> None:
    model = mostly_zeros()
    x = torch.randn(2, 900, dtype=torch.float64)
    found = sh.compact(model, x, sparse=1, batch_sizes=())
    (choice,) = found.report.sparse
    assert (
        choice.is_sparse == (choice.csr < choice.dense) == isinstance(found.model[0], SparseLinear)
    )
    assert f"{choice.density:.1%} nonzero" in str(found.report)
    torch.testing.assert_close(found.model(x), model(x))


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # torch.export.load, 2.9
def test_sparse_layers_compute_and_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine measures."""
    times = iter([[2.0, 1.0]])
    monkeypatch.setattr("shrinkage.compression.sparse.interleaved", lambda *_: next(times))
    model = mostly_zeros()
    x = torch.randn(4, 3, 900, dtype=torch.float64, requires_grad=True)
    found = sh.compact(model, x.detach(), sparse=4, batch_sizes=())
    assert isinstance(found.model[0], SparseLinear)
    torch.testing.assert_close(found.model(x), model(x))
    (ours,) = torch.autograd.grad(found.model(x).sum(), x)
    (theirs,) = torch.autograd.grad(model(x).sum(), x)
    torch.testing.assert_close(ours, theirs)
    loaded = sh.load_compact(mostly_zeros, found.save(tmp_path / "a"))
    assert torch.equal(loaded(x), found.model(x))
    program = torch.export.load(found.export(tmp_path / "p")).module()
    torch.testing.assert_close(program(x.detach()), model(x))


def test_dense_layers_are_not_tried_as_sparse() -> None:
    model = nn.Sequential(nn.Linear(4, 5)).eval()
    assert sparsified(model, (torch.randn(2, 4),), 8) == ()


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # torch.export.load, 2.9
def test_torch_export_with_any_batch(tmp_path: Path) -> None:
    found = small("ResNet, basic blocks")
    program = torch.export.load(found.export(tmp_path / "net")).module()
    for n in (1, 7):
        torch.testing.assert_close(program(example(n)), found.model(example(n)))


@pytest.mark.parametrize("name", ["squeeze and excite", "plain CNN"])
def test_onnx_gives_the_same_outputs(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    found = small(name)
    path = found.onnx(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(path))
    for n in (1, 7):
        (ours,) = session.run(None, {session.get_inputs()[0].name: example(n).numpy()})
        torch.testing.assert_close(torch.from_numpy(ours), found.model(example(n)).detach())


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(CompactionError, match=r"pip install 'shrinkage\[onnx\]'"):
        small("plain CNN").onnx(tmp_path / "net")


class Unfollowed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) if bool(x.sum() > 0) else x[:, :2]


def test_what_torch_export_cannot_follow_is_an_error(tmp_path: Path) -> None:
    found = sh.compact(Unfollowed().eval(), torch.randn(2, 4), batch_sizes=())
    with pytest.raises(CompactionError, match=r"torch\.export cannot follow.*load_compact"):
        found.export(tmp_path / "net")


# Loading what is not there


def test_a_folder_without_a_compact_network(tmp_path: Path) -> None:
    with pytest.raises(CompactionError, match="not a compact network"):
        sh.load_compact(ARCHITECTURES["plain CNN"], tmp_path)


@pytest.mark.parametrize("file", ["compact.json", "weights.safetensors"])
def test_damaged_files(file: str, tmp_path: Path) -> None:
    small("plain CNN").save(tmp_path)
    (tmp_path / file).write_text("{")
    with pytest.raises(CompactionError, match="damaged"):
        sh.load_compact(ARCHITECTURES["plain CNN"], tmp_path)


@pytest.mark.parametrize("other", ["VGG with batch norm", "U-Net"])
def test_another_factory(other: str, tmp_path: Path) -> None:
    small("plain CNN").save(tmp_path)
    with pytest.raises(CompactionError, match="does not make the network that was compacted"):
        sh.load_compact(ARCHITECTURES[other], tmp_path)
    with pytest.raises(CompactionError, match="does not make the network that was compacted"):
        sh.load_compact(lambda: None, tmp_path)  # type: ignore[arg-type,return-value]


# Latency


def test_latency_is_reported_and_slowness_said() -> None:
    torch.manual_seed(0)
    alive = sh.compact(ARCHITECTURES["plain CNN"]().eval(), example(), batch_sizes=(1, 4))
    assert [(one.device, one.batch) for one in alive.report.latencies][:2] == [
        ("cpu", 1),
        ("cpu", 4),
    ]
    assert all(one.before > 0 and one.after > 0 for one in alive.report.latencies)
    assert ("Not faster" in str(alive.report)) == (not alive.report.is_faster)


def test_latency_falls_where_much_is_dead() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(600, 2000), nn.ReLU(), nn.Linear(2000, 3)).eval()
    with torch.no_grad():
        model[0].weight[100:] = 0.0
    found = sh.compact(model, torch.randn(2, 600), batch_sizes=(64,))
    assert found.report.macs == (1_206_000, 60_300)
    assert found.report.latencies[0].speedup > 3
    assert found.report.is_faster


# From a run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a"
    sh.contrast(
        "mlp", "digits", columns=["group_l1", "l1"], grid=[3e-2], seeds=1, epochs=6, jobs=1,
        run=folder, command="shrinkage contrast digits --model mlp", progress=lambda _: None,
    )  # fmt: skip
    return folder


def test_the_command_compacts_a_run(run: Path) -> None:
    result = CliRunner().invoke(app, ["compact", str(run)])
    assert result.exit_code == 0, result.output
    assert "group L1, 0.03, seed 0" in result.output
    folder = run / "compact-group_l1-0"
    assert {p.name for p in folder.iterdir()} == {
        "compact.json", "model.onnx", "model.pt2", "weights.safetensors",
    }  # fmt: skip
    assert json.loads((folder / "compact.json").read_text())["run"] == "a"


def test_a_compact_run_predicts_the_same(run: Path, tmp_path: Path) -> None:
    outcome = compact_run(run, column="l1", out=tmp_path)
    assert outcome.same == outcome.same_onnx == outcome.n_test == 360
    assert outcome.scores[0] == outcome.scores[1]
    assert outcome.compact.report.bytes[1] < outcome.compact.report.bytes[0]


def test_a_path_of_coupled_groups_is_compacted(tmp_path: Path) -> None:
    folder = tmp_path / "path"
    path = sh.path(
        "mlp", "digits", sh.GroupL1(1.0, coupled=True), run=folder, points=3, seeds=1, epochs=6,
        point_epochs=2, refine=0, weakest=1e-3, strongest=2e-2, within=0.2, jobs=1,
        progress=lambda _: None,
    )  # fmt: skip
    outcome = compact_run(folder, out=tmp_path / "small")
    assert outcome.same == outcome.n_test
    assert outcome.compact.report.parameters[1] < outcome.compact.report.parameters[0]
    x = torch.randn(3, 1, 8, 8)
    loaded = sh.load_compact(lambda: path.setting.build(0), tmp_path / "small")
    torch.testing.assert_close(loaded(x), path.chosen.model(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(RunError, match="the run has no such network: got seed 2"):
        compact_run(folder, seed=2)
    with pytest.raises(CompactionError, match="batch is out of range: got 0"):
        compact_run(folder, batch=0)


def half_dead(hidden: int = 8, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    net = nn.Sequential(nn.Linear(6, hidden), activation(), nn.Linear(hidden, 3)).eval()
    with torch.no_grad():
        net[0].weight[:4] = 0.0
        net[0].bias[:4] = 0.0
    return net


def no_factory() -> nn.Module:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (lambda: half_dead(activation=nn.Tanh), "of the same shapes with other outputs"),
        (lambda: half_dead(hidden=5), "narrower layers"),
        (lambda: nn.Linear(6, 3), "has no attribute `0`"),
        (no_factory, r"no_factory failed: RuntimeError: on purpose \(test_compact_files.py"),
        (lambda: None, "a NoneType"),
        ("mlpp", "unknown model: 'mlpp'"),
        (None, "no factory, and no name of one"),
    ],
)
def test_another_network_is_found_out(
    factory: Callable[[], nn.Module], said: str, tmp_path: Path
) -> None:
    """Equal shapes are not enough: another activation is another function."""
    torch.manual_seed(0)
    net, x = half_dead(), torch.randn(5, 6)
    sh.compact(net, x, batch_sizes=()).save(tmp_path)
    torch.testing.assert_close(sh.load_compact(half_dead, tmp_path)(x), net(x))
    with pytest.raises(CompactionError, match=f"does not make the network.*{said}"):
        sh.load_compact(factory, tmp_path)


class AtRandom(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(nn.functional.dropout(x, 0.5))


class OfWords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.words(x).mean(1))


@pytest.mark.parametrize(
    ("make", "x"),
    [(AtRandom, torch.randn(5, 6)), (OfWords, torch.randint(9, (5, 2)))],
)
def test_networks_that_cannot_be_asked_are_loaded_as_before(
    make: Callable[[], nn.Module], x: Tensor, tmp_path: Path
) -> None:
    sh.compact(make().eval(), x, batch_sizes=()).save(tmp_path)
    assert json.loads((tmp_path / "compact.json").read_text())["answer"] is None
    assert isinstance(sh.load_compact(make, tmp_path), make)  # type: ignore[arg-type]


def test_another_point_of_a_path_without_its_unused_inputs(tmp_path: Path) -> None:
    """Names of what is left, and the same predictions from fewer columns."""
    folder = tmp_path / "run"
    path = sh.path(
        "mlp", "breast_cancer", "features", run=folder, points=5, seeds=1, epochs=60, refine=0,
        weakest=4e-3, strongest=1.2e-2, jobs=1,
        command="shrinkage path breast_cancer --penalty features --model mlp",
        progress=lambda _: None,
    )  # fmt: skip
    few = path.choose(features=12)
    said = CliRunner().invoke(app, ["compact", str(folder), "--features", "12", "--drop-inputs"])
    assert said.exit_code == 0, said.output
    (made,) = folder.glob("compact-path-*-0-inputs")
    known = json.loads((made / "compact.json").read_text())
    assert 0 < len(known["inputs"]) == len(known["columns"]) <= 12
    assert f"It takes {len(known['inputs'])} of 30 inputs" in said.output
    assert known["columns"][0] in said.output
    assert "the same prediction for 114 of 114 test examples, ONNX 114" in said.output
    assert f"New rows: shrinkage predict {made} NEW.csv" in said.output
    x, source = path.setting.split(0).test.x, load("breast_cancer")
    raw = x * path.setting.split(0).x_scale + path.setting.split(0).x_mean
    columns = [source.columns.index(name) for name in known["columns"]]
    mean, scale = (
        torch.tensor(known["questions"]["scaling"][f"input_{k}"]) for k in ("mean", "scale")
    )
    own = (raw[:, columns] - mean) / scale  # what a user does with a new table
    with torch.no_grad():
        expected = few.model(x)
        for factory in (None, "mlp", sh.models.mlp, lambda: path.setting.build(0)):
            found = sh.load_compact(factory, made)(own.float())
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    dense = CliRunner().invoke(app, ["compact", str(folder), "--scale", "0"])
    assert dense.exit_code == 0, dense.output
    assert "scale 0, " in dense.output
    assert "It takes" not in dense.output
    whole = CliRunner().invoke(app, ["compact", str(folder), "--scale", "0", "--drop-inputs"])
    assert "All 30 inputs are read: none was dropped" in whole.output
    for scale in path.view.decisions["scales"]:  # as tables show them
        assert path.choose(scale=float(f"{scale:.3g}")).scale == scale


def test_an_unfinished_path_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Run(folder, of_path()):
        pass
    said = CliRunner().invoke(app, ["compact", str(folder), "--features", "3"])
    assert isinstance(said.exception, RunError)
    assert "the path is not finished" in str(said.exception)


def test_a_contrast_has_no_points(run: Path) -> None:
    for option in ("--scale", "--nonzeros", "--features"):
        said = CliRunner().invoke(app, ["compact", str(run), option, "3"])
        assert isinstance(said.exception, RunError)
        assert f"got {option} for a run of 'contrast'" in str(said.exception)
    with pytest.raises(RunError, match="no points to choose from"):
        compact_run(run, point=Point(0.1, "fit"))


class Stored(RunView):
    """A run whose weights are one number: 1 penalised, 2 refit, 3 stable."""

    def weights(self, key: str) -> dict[str, Tensor]:
        return {"w": torch.tensor({"1/0.5": 1, "1/0.5/refit": 2, "1/stable": 3, "1/0": 4}[key])}


@pytest.mark.parametrize(
    ("family", "scale", "which"),
    [("fit", 0.5, 1), ("refit", 0.5, 2), ("stable", 0.5, 3), ("refit", 0.0, 4)],
)
def test_the_chosen_family_of_a_path_is_taken(family: str, scale: float, which: int) -> None:
    view = path_that_chose(family, scale)
    assert int(chosen(view, seed=1).weights["w"]) == which


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(RunError, match="unknown family: got 'nobody'"):
        weights_key(path_that_chose("fit", 0.5), "nobody", 1, 0.5)


def test_a_path_has_no_columns() -> None:
    with pytest.raises(RunError, match="a path has no columns: got column 'l1'"):
        chosen(path_that_chose("fit", 0.5), "l1")


def path_that_chose(family: str, scale: float) -> RunView:
    choice = {"family": family, "scale": scale, "why": "the lowest validation loss"}
    points = (path_fit(1, 0.0), path_fit(1, 0.5))
    return Stored(Path(), of_path(seeds=2), {"choice": choice}, points)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"column": "l2"},
            "no such network: got column 'l2', seed 0; expected one of l1, group_l1",
        ),
        ({"seed": 3}, "no such network: got column 'group_l1', seed 3"),
        ({"data": "wine"}, "these are not the data of the run"),
        ({"model": "cnn"}, "this is not the network of the run: got cnn with other content"),
    ],
)
def test_what_the_run_does_not_have(run: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ShrinkageError, match=message):
        compact_run(run, **options)  # type: ignore[arg-type]


NETWORK = """
from torch import nn

def make(spec):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(spec.n_inputs, 8), nn.ReLU(), nn.Linear(8, spec.n_outputs)
    )
"""


def test_a_factory_that_has_changed_is_refused(tmp_path: Path) -> None:
    """The weights would fit it, and compute something else."""
    file, run = tmp_path / "net.py", tmp_path / "run"
    file.write_text(NETWORK)
    sh.contrast(
        f"{file}:make", "wine", columns=["l1"], grid=[1e-2], seeds=1, epochs=2, jobs=1,
        run=run, command=f"shrinkage contrast wine --model {file}:make", progress=lambda _: None,
    )  # fmt: skip
    assert compact_run(run, out=tmp_path / "a").same > 0
    file.write_text(NETWORK.replace("ReLU", "Tanh"))
    for model in (None, f"{file}:make"):
        with pytest.raises(CompactionError, match="not the network of the run"):
            compact_run(run, model=model, out=tmp_path / "b")


def dense(spec: Any) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(spec.n_inputs, spec.n_outputs))


def test_a_factory_made_in_python_must_be_given_again(tmp_path: Path) -> None:
    sh.contrast(
        dense, "wine", columns=["l1"], grid=[1e-2], seeds=1, epochs=1, jobs=1, run=tmp_path,
        progress=lambda _: None,
    )  # fmt: skip
    with pytest.raises(CompactionError, match=r"'dense'.*--model FILE.py:FACTORY"):
        compact_run(tmp_path)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        compact_run(tmp_path)


@pytest.mark.parametrize("line", ["path digits --seeds 1", "path --seeds 1 digits --run x"])
def test_the_data_behind_a_command_are_found_wherever_they_stood(line: str) -> None:
    told = command(line.split(), "digits")
    assert words(RunView(Path(), {}, {"command": told}, ())) == {"data": "digits", "seeds": "1"}


def test_a_regressions_answers_can_be_put_back_into_units(tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = sh.contrast(
        "linear", "diabetes", columns=["l1"], grid=[1e-2], seeds=1, epochs=5, jobs=1, run=run,
        command="shrinkage contrast diabetes --model linear", progress=lambda _: None,
    )  # fmt: skip
    outcome = compact_run(run)
    known = json.loads((outcome.folder / "compact.json").read_text())
    parts, source = result.setting.split(0), load("diabetes")
    assert known["questions"]["scaling"]["target_scale"] == parts.y_scale
    with torch.no_grad():
        answers = outcome.compact.model(parts.test.x)
    answers = answers * parts.y_scale + known["questions"]["scaling"]["target_mean"]
    truth = parts.test.y * parts.y_scale + parts.y_mean
    assert float((answers - truth).abs().mean()) < float((truth - source.y.mean()).abs().mean())


def test_images_have_no_scaling(run: Path) -> None:
    known = json.loads((compact_run(run, column="l1").folder / "compact.json").read_text())
    assert known["questions"]["scaling"] == {}
    assert known["classes"] == [str(k) for k in range(10)]


def test_a_file_where_the_folder_should_be(run: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(CompactionError, match="the folder cannot be written"):
        compact_run(run, column="l1", out=tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("disturbed", [True, False])
def test_timings_that_other_work_has_disturbed_are_told(
    disturbed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = [[1.0, 40.0, 41.0] if disturbed else [1.0, 1.1, 9.0], [1.0, 1.0, 1.0]]
    monkeypatch.setattr(latency, "runs", lambda _: taken)
    report = sh.compact(half_dead(), torch.randn(5, 6)).report
    assert [one.disturbed for one in report.latencies] == [disturbed] * len(report.latencies)
    assert ("Other work disturbed the timing" in str(report)) == disturbed


def test_a_factory_whose_spec_has_a_default_is_called_as_it_is(tmp_path: Path) -> None:
    """A network that was compacted by itself: its folder knows no spec."""

    def make(spec: int = 8) -> nn.Module:
        return half_dead(spec)

    def needs(spec: int) -> nn.Module:
        return half_dead(spec)

    torch.manual_seed(0)
    net, x = half_dead(), torch.randn(5, 6)
    sh.compact(net, x, batch_sizes=()).save(tmp_path)
    torch.testing.assert_close(sh.load_compact(make, tmp_path)(x), net(x))
    with pytest.raises(CompactionError, match=r"the factory needs failed.*missing 1 required"):
        sh.load_compact(needs, tmp_path)


@pytest.mark.filterwarnings("ignore:.*missing values:shrinkage.ShrinkageWarning")
def test_a_run_with_missing_values_finds_its_data_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{k if k % 5 else ''},{k % 3},{'ab'[k % 2]}\n" for k in range(90))
    Path("my.csv").write_text("size,other,kind\n" + rows, "utf-8")
    sh.contrast(
        "linear", load("my.csv", target="kind", missing="fill"), columns=["l1"], grid=[1e-3],
        seeds=1, epochs=2, jobs=1, run="run", progress=lambda _: None,
        command="shrinkage contrast my.csv --target kind --missing fill --model linear",
    )  # fmt: skip
    outcome = compact_run("run", drop_inputs=True)
    known = json.loads((outcome.folder / "compact.json").read_text())
    assert known["columns"] == ["size", "size=(missing)", "other"]


def test_a_sparse_layer_without_a_bias() -> None:
    linear = nn.Linear(6, 3, bias=False)
    x = torch.randn(4, 6)
    sparse = SparseLinear(linear)
    assert sparse.bias is None
    torch.testing.assert_close(sparse(x), linear(x))
    assert sparse.dense().bias is None
    torch.testing.assert_close(sparse.dense()(x), linear(x))
