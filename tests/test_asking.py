"""New rows: encoded, scaled and answered as the training rows were, from Python and from files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

import shrinkage as sh
from shrinkage.cli import app
from shrinkage.compression import compact_run
from shrinkage.compression.chosen import Point
from shrinkage.data import from_user, load, split
from shrinkage.data.encoding import Encoding
from shrinkage.data.files import read_frame
from shrinkage.errors import CompactionError, DataError, FitError
from shrinkage.reports.paths import feature_table
from shrinkage.reports.plain import frame_as_text
from shrinkage.runs.questions import Questions

pytestmark = pytest.mark.filterwarnings("ignore:.*missing values:shrinkage.ShrinkageWarning")


def rows(n: int = 120) -> pl.DataFrame:
    """Numbers (one of them with gaps), text with gaps, booleans, and noise."""
    generator = np.random.default_rng(0)
    age, income = generator.normal(50, 10, n), generator.lognormal(10, 0.5, n)
    town, owner = generator.choice(list("abc"), n), generator.random(n) < 0.5
    price = age / 5 + 4 * (town == "a") + generator.normal(size=n) * 0.1
    return pl.DataFrame(
        {
            "age": [None if k % 11 == 3 else v for k, v in enumerate(age)],
            "income": income,
            "town": [None if k % 17 == 5 else v for k, v in enumerate(town)],
            "owner": owner,
            "bought": np.where(price > 11, "yes", "no"),
            "price": 1000 + 50 * price,
        }
    )


def table(folder: Path, target: str) -> Path:
    other = "price" if target == "bought" else "bought"
    rows().drop(other).write_csv(folder / "t.csv")
    return folder / "t.csv"


def contrasted(folder: Path, data: Any, **options: Any) -> Any:
    return sh.contrast(
        "linear", data, columns=["l1"], grid=[1e-2], seeds=1, epochs=20, jobs=1,
        run=folder / "run", progress=lambda _: None, **options,
    )  # fmt: skip


@pytest.mark.parametrize("target", ["bought", "price"])
def test_new_rows_are_answered_as_the_rows_learnt_from(target: str, tmp_path: Path) -> None:
    path = table(tmp_path, target)
    data = load(path, target=target, missing="fill")
    result = contrasted(
        tmp_path, data, command=f"shrinkage contrast {path} --target {target} --missing fill"
    )
    parts, model = split(data, 0), result.model("l1")
    x = (data.x.double() - parts.x_mean) / parts.x_scale
    with torch.no_grad():
        outputs = model(torch.where(x.isnan(), 0.0, x).float()).double()
    said = result.predict("l1", path)
    assert said.equals(result.predict("l1", pl.read_csv(path)))
    if target == "bought":
        assert said["prediction"].to_list() == [data.classes[k] for k in outputs.argmax(1)]
        shares = said.select("probability=no", "probability=yes").to_numpy()
        np.testing.assert_allclose(shares, outputs.softmax(1).numpy(), atol=1e-9)
    else:
        assert said.columns == ["prediction"]
        np.testing.assert_allclose(
            said["prediction"], outputs[:, 0] * parts.y_scale + parts.y_mean, rtol=1e-6
        )
        truth = pl.read_csv(path)[target]
        assert float(((said["prediction"] - truth) ** 2).mean()) < 0.3 * float(truth.var())
    outcome = compact_run(tmp_path / "run", drop_inputs=True)
    assert f"shrinkage predict {outcome.folder} NEW.csv" in str(outcome)
    for where in (outcome.folder, tmp_path / "run"):
        small = sh.predict(where, path)
        assert small.columns == said.columns
        for column in said.columns[-1:]:
            np.testing.assert_allclose(small[column], said[column], rtol=1e-4, atol=1e-6)


def test_levels_are_read_as_they_are_written(tmp_path: Path) -> None:
    """A file with some of the rows would make numbers, or booleans, of them."""
    codes = ["01", "1", "2.5", "A"] * 10
    said, owner = ["true", "false", "unknown", "true"] * 10, ["true", "false"] * 20
    frame = pl.DataFrame({"code": codes, "said": said, "owner": owner, "y": [0, 1] * 20})
    frame.write_csv(tmp_path / "all.csv")
    frame.filter((pl.col("code") != "A") & (pl.col("said") != "unknown")).write_csv(
        tmp_path / "some.csv"
    )
    data = load(tmp_path / "all.csv", target="y")
    questions = Questions.of(data, split(data, 0), shares=True)
    torch.manual_seed(0)
    model = torch.nn.Linear(data.spec.n_inputs, 2)
    whole = questions.ask(model, tmp_path / "all.csv")
    some = questions.ask(model, tmp_path / "some.csv")
    assert whole.filter(pl.Series([c in ("01", "1") for c in codes])).equals(some)


def test_a_row_may_lack_every_number_that_could_be_missing(tmp_path: Path) -> None:
    encoding = Encoding.of(load(table(tmp_path, "bought"), target="bought", missing="fill"))
    (tmp_path / "one.csv").write_text("age,income,town,owner\n,1000,,true\n", "utf-8")
    x = encoding.encode("one.csv", read_frame(tmp_path / "one.csv", encoding.levels))
    assert x[0, 0].isnan()
    assert x[0, 1:].tolist() == [1, 1000, 1, 0, 0, 0, 0, 1]
    (tmp_path / "none.csv").write_text("age,income,town,owner\n", "utf-8")
    assert encoding.encode("none.csv", read_frame(tmp_path / "none.csv")).shape == (0, 9)


def test_only_what_the_network_reads_is_needed(tmp_path: Path) -> None:
    data = load(table(tmp_path, "bought"), target="bought", missing="fill")
    encoding = Encoding.of(data)
    assert encoding.inputs == (
        ("age", None), ("age", "(missing)"), ("income", None), ("town", "(missing)"),
        ("town", "a"), ("town", "b"), ("town", "c"), ("owner", "False"), ("owner", "True"),
    )  # fmt: skip
    known = Encoding.of_json(encoding.of_inputs([5, 1, 8]).as_json())
    assert known.as_json()["levels"] == {
        "town": ["(missing)", "a", "b", "c"], "owner": ["False", "True"],
    }  # fmt: skip
    new = pl.DataFrame({"owner": [True, False], "town": ["b", None], "age": [None, 3], "z": 1})
    assert known.encode("new", new).tolist() == [[1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age": None}, r"columns are missing: got 'age'.*age, income, town"),
        ({"town": pl.lit("Rome")}, r"'town' has levels that were unknown: got 'Rome'"),
        ({"income": pl.lit(None)}, r"missing values: got 'income' \(120\) of 120 rows"),
        ({"income": pl.lit("12,5")}, r"'income' holds no numbers.*'12,5'"),
        ({"income": pl.lit(float("inf"))}, r"'income' holds infinite numbers"),
        ({"owner": pl.lit(None)}, r"missing values: got 'owner'"),
    ],
)
def test_rows_that_do_not_fit_are_told(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    encoding = Encoding.of(load(table(tmp_path, "bought"), target="bought", missing="fill"))
    frame = rows().drop([name for name, value in changes.items() if value is None])
    made = {name: value for name, value in changes.items() if value is not None}
    with pytest.raises(DataError, match=message):
        encoding.encode("new.csv", frame.with_columns(**made))


def test_arrays_are_asked_in_their_own_units(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 100 + 20 * torch.randn(90, 3, generator=generator)
    y = (x[:, 0] > 100).long()
    result = contrasted(tmp_path, (x, y))
    said = result.predict("l1", x.numpy())
    assert float((said["prediction"].cast(pl.Int64) == pl.Series(y.numpy())).mean()) > 0.9
    for bad, message in (
        (x[:, :2], r"shape \(90, 2\).*\(n, 3\)"),
        (x * torch.nan, "not finite"),
        (pl.DataFrame(x.numpy()), "columns are missing: got 'x0'"),
    ):
        with pytest.raises(DataError, match=message):
            result.predict("l1", bad)
    with pytest.raises(FitError, match="seed is out of range"):
        result.predict("l1", x, seed=7)


def test_columns_far_from_zero_keep_their_digits() -> None:
    """A mean in float32 would be off by parts of a standard deviation."""
    x = 1e5 + 0.25 * torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
    data = from_user((x, torch.arange(80) % 2))
    parts = split(data, 0)
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    said = Questions.of(data, parts, shares=True).ask(model, x)["probability=0"].to_numpy()
    assert parts.x_mean is not None
    assert parts.x_scale is not None
    with torch.no_grad():
        outputs = model(((data.x.double() - parts.x_mean) / parts.x_scale).float()).double()
    np.testing.assert_allclose(said, outputs.softmax(1)[:, 0].numpy(), atol=1e-7)


def test_images_are_asked_as_arrays() -> None:
    data = load("digits")
    questions = Questions.of(data, split(data, 0), shares=True)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    assert len(questions.ask(model, data.x[:5])) == 5
    assert questions.ask(model, data.x[:0]).columns == ["prediction"]
    for bad in ((data.x * 255).byte(), data.x[:, 0], data.x.flatten(1)):
        with pytest.raises(DataError, match=r"\(n, 1, 8, 8\).*divided by 255"):
            questions.ask(model, bad)
    few = questions.of_inputs([3, 5])
    with pytest.raises(DataError, match=r"\(n, 2\)"):
        few.ask(torch.nn.Linear(2, 10), torch.zeros(4, 3))
    with pytest.raises(DataError, match="learnt from arrays"):
        questions.ask(model, "new.csv")
    with pytest.raises(FitError, match=r"not finite: got 5 of 5 rows"):
        questions.ask(torch.nn.Sequential(model, Broken()), data.x[:5])


class Broken(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.inf


def test_a_chosen_point_predicts(tmp_path: Path) -> None:
    path = table(tmp_path, "price")
    data = load(path, target="price", missing="drop")
    found = sh.path(
        "linear", data, sh.L1(1.0), points=4, seeds=1, jobs=1, magnitude=False,
        run=tmp_path / "run",
        progress=lambda _: None,
    )  # fmt: skip
    frame = rows().drop_nulls()
    said = found.choose("best").predict(frame)["prediction"]
    assert float(((said - frame["price"]) ** 2).mean()) < 0.02 * float(frame["price"].var())


@pytest.mark.filterwarnings("ignore:.*different values:shrinkage.ShrinkageWarning")
def test_a_column_that_the_network_does_not_read_may_hold_anything(tmp_path: Path) -> None:
    frame = rows().drop_nulls().drop("bought").with_row_index("id")
    frame = frame.with_columns(pl.format("n{}", "id").alias("id"))
    frame.write_csv(tmp_path / "t.csv")
    with pytest.warns(
        sh.ShrinkageWarning, match=r"\d+ of 109 inputs hold one .*: \d+ made of 'id'\."
    ):
        found = sh.path(
            "linear", load(tmp_path / "t.csv", target="price"), "features", points=6, seeds=1,
            jobs=1, magnitude=False, run=tmp_path / "run", progress=lambda _: None,
        )  # fmt: skip
    best = found.choose(features=2)
    assert best.features
    assert "id" not in best.features
    said = best.predict(frame)
    strange = frame.with_columns(id=pl.lit("new"))
    for other in (frame.drop("id"), strange, frame.with_columns(id=pl.lit(None))):
        assert best.predict(other).equals(said)
    strange.write_csv(tmp_path / "new.csv")
    assert best.predict(tmp_path / "new.csv").equals(said)
    small = compact_run(
        tmp_path / "run",
        data=str(tmp_path / "t.csv"),
        target="price",
        point=Point(best.scale, best.family),
    ).folder
    assert sh.predict(small, strange).equals(said)
    with pytest.raises(DataError, match="columns are missing"):
        best.predict(frame.drop(best.features[0]))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = table(tmp_path, "bought")
    command = "shrinkage contrast t.csv --target bought --missing fill"
    contrasted(tmp_path, load(path, target="bought", missing="fill"), command=command)
    with pytest.raises(CompactionError, match=r"there is no compact network.*shrinkage compact"):
        sh.predict("run", path)
    folder = compact_run("run").folder
    rows(15).drop("bought", "price").write_csv("new.csv")
    run = CliRunner().invoke

    def asked(*words: str) -> str:
        done = run(app, ["predict", *words], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    shown = asked("run", "new.csv")
    assert "probability=yes" in shown
    assert "and 5 more" in shown
    assert "Written: out.csv" in asked("run", "new.csv", "--out", "out.csv")
    written = pl.read_csv("out.csv")
    assert written.columns == [
        "age", "income", "town", "owner", "prediction", "probability=no", "probability=yes",
    ]  # fmt: skip
    assert len(written) == 15
    Path("ids.csv").write_text("id,age,income,town,owner\n007,50.10,9000,a,true\n", "utf-8")
    asked("run", "ids.csv", "--out", "out.csv")
    assert Path("out.csv").read_text("utf-8").splitlines()[1].startswith("007,50.10,9000,a,true,")
    pl.DataFrame({"l": [[1, 2]], "age": 50.0, "income": 9e3, "town": "a", "owner": True}
                 ).write_parquet("nested.parquet")  # fmt: skip
    for rows_, out in (("new.csv", "."), ("new.csv", "/"), ("new.csv", "new.csv"),
                       ("new.csv", "no/b.csv"), ("nested.parquet", "c.csv")):  # fmt: skip
        with pytest.raises(DataError, match="cannot be written"):
            run(app, ["predict", "run", rows_, "--out", out], catch_exceptions=False)
    assert not list(Path().glob("*.part"))
    with pytest.raises(DataError, match="a column of the name of an answer"):
        run(app, ["predict", "run", "out.csv", "--out", "b.csv"], catch_exceptions=False)
    with pytest.raises(DataError, match="no table of new rows"):
        sh.predict(folder, "none.csv")
    compact_run("run", drop_inputs=True, out="run/compact-other")
    with pytest.raises(CompactionError, match=r"which compact network is not clear.*compact-other"):
        sh.predict("run", "new.csv")
    sh.compact(torch.nn.Linear(2, 2).eval(), torch.randn(3, 2), batch_sizes=()).save("saved")
    known = json.loads((folder / "compact.json").read_text())
    del known["questions"]["scaling"]
    (folder / "compact.json").write_text(json.dumps(known))
    with pytest.raises(CompactionError, match=r"damaged.*scaling"):
        sh.predict(folder, "new.csv")
    with pytest.raises(CompactionError, match="how rows become inputs is not known"):
        sh.predict("saved", "new.csv")


def test_names_that_look_like_markup_are_names() -> None:
    frame = pl.DataFrame({"prediction": ["[low]", "[/high]"], "probability=[low]": [0.25, 1.0]})
    text = frame_as_text(frame, 10)
    assert "[low]" in text
    assert "[/high]" in text
    assert "probability=[low]" in text
    wide = pl.DataFrame({f"column {k}": [0.125] for k in range(60)})
    assert "…" not in frame_as_text(wide, 10)
    row = {"feature": "in[/out]", "leaves": 0.1, "size": 1.0}
    assert "in[/out]" in feature_table([row, row | {"feature": "weight [kg]"}])


def test_a_number_that_may_be_missing_has_a_weight_of_its_own(tmp_path: Path) -> None:
    data = load(table(tmp_path, "price"), target="price", missing="fill")
    found = sh.path(
        "linear", data, sh.L1(1.0), points=4, seeds=1, jobs=1, magnitude=False,
        run=tmp_path / "run", progress=lambda _: None,
    )  # fmt: skip
    rows = {row["feature"]: row for row in found.features().to_dicts()}
    assert rows["age"]["weight"] > 0
    assert rows["town"]["weight"] is None
