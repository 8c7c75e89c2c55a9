"""A finished path: its points, choices among them, and the networks behind them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from torch import nn

from shrinkage.errors import FitError
from shrinkage.paths.selection import Selected, Wanted, select
from shrinkage.paths.setting import Setting, key, refit_key
from shrinkage.plans import Plan
from shrinkage.reports.paths import path_figure, path_rows, path_table
from shrinkage.runs import RunView
from shrinkage.studies import quiet_plan


@dataclass(frozen=True, eq=False)
class PathPoint:
    """A chosen point: its scale, its figures over seeds, and the networks.

    ``family``: ``"fit"`` (penalised) or ``"refit"`` (the same support, fit once more); ``why``: the
    reason of the choice. ``score`` and ``test_score`` are means over seeds, ``nonzeros`` counts
    penalised weights, ``features`` are the inputs used in the first seed.
    """

    path: "RegularizationPath"
    selected: Selected

    @property
    def scale(self) -> float:
        """The factor of the penalty."""
        return self.selected.scale

    @property
    def row(self) -> dict[str, Any]:
        """This point's row of :meth:`RegularizationPath.frame`."""
        frame = self.path.frame()
        mine = frame.filter((pl.col("scale") == self.scale) & (pl.col("fit") == self.family))
        return mine.to_dicts()[0]

    @property
    def family(self) -> str:
        """``"fit"`` or ``"refit"``."""
        return self.selected.family

    @property
    def why(self) -> str:
        """Why this point."""
        return self.selected.why

    @property
    def features(self) -> list[str] | None:
        """Names of the inputs that the first seed's network uses; None where not known."""
        fit = self.path.view.of_kind("fit")[key(0, self.scale)]
        names = self.path.view.config["data"]["columns"]
        used = fit["features"]
        return None if used is None else [names[i] if names else str(i) for i in used]

    @property
    def model(self) -> nn.Module:
        """The network of the first seed, in eval mode."""
        return self.of_seed(0)[0]

    @property
    def plan(self) -> Plan:
        """A plan for a network of the first seed at this scale."""
        return self.of_seed(0)[1]

    def of_seed(self, seed: int) -> tuple[nn.Module, Plan]:
        """The network of a seed, in eval mode, and its plan at this scale.

        Raises :class:`FitError` for a seed that was not run.
        """
        setting = self.path.setting
        if seed not in range(setting.seeds):
            raise FitError(
                "no such network",
                got=f"seed {seed!r}",
                expected=f"a seed below {setting.seeds}",
                remedy="Each seed, or fold, has a network of its own.",
            )
        model = setting.build(seed)
        name = key(seed, self.scale)
        stored = refit_key(name) if self.family == "refit" and self.scale else name
        model.load_state_dict(self.path.view.weights(stored))
        return model.eval(), quiet_plan(model, setting.rules.scaled(self.scale), setting.example)

    def __str__(self) -> str:
        row = self.row
        kind = "refit on its support" if self.family == "refit" else "penalised fit"
        return (
            f"scale {self.scale:.3g} ({kind}): {row['nonzeros']:,.0f} nonzero weights, "
            f"{row['score_name']} {row['validation_score']:.4f} on validation data"
            + (f", {row['test_score']:.4f} on test data" if row["test_score"] is not None else "")
            + f"\nchosen as {self.why}"
        )


@dataclass(frozen=True, eq=False)
class RegularizationPath:
    """A finished path: its run folder and the networks behind it. ``str`` of it is the table."""

    view: RunView
    setting: Setting

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.view.folder

    @property
    def report(self) -> Path:
        """The report, a self-contained page."""
        return self.folder / "report.html"

    @property
    def chosen(self) -> PathPoint:
        """The point that the run chose."""
        return PathPoint(self, Selected(**self.view.decisions["choice"]))

    def choose(
        self,
        rule: str | None = None,
        *,
        within: float | None = None,
        nonzeros: int | None = None,
        features: int | None = None,
        scale: float | None = None,
    ) -> PathPoint:
        """Choose a point on validation data, for instance ``choose("best")``.

        ``rule``: ``"1se"`` (default) or ``"best"``; or one of ``within`` (the fewest nonzeros whose
        score is within this of the best), ``nonzeros`` or ``features`` (the best with at most so
        many), ``scale``. The penalised fit or its refit, whichever has the lower validation loss.
        Raises :class:`FitError` for two wishes at once, and where no point fits.
        """
        wanted = Wanted(rule, within, nonzeros, features, scale)
        return PathPoint(self, select(self.view, wanted))

    def frame(self) -> pl.DataFrame:
        """One row per scale and fit (penalised, refit): means over seeds, and sd of the scores.

        Columns: scale, fit, nonzeros, density (share of penalised weights), features, penalty,
        train_loss, validation_loss, validation_score, validation_sd, test_loss, test_score,
        test_sd, score_name.
        """
        return pl.DataFrame(list(path_rows(self.view)), infer_schema_length=None)

    def figure(self) -> Any:
        """A plotly figure: held-out score against λ and nonzero weights, the choice ringed."""
        return path_figure(self.view)

    def __str__(self) -> str:
        return path_table(self.view)
