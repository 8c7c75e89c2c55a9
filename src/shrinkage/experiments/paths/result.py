"""A finished path: its points, choices among them, and the networks behind them."""

from dataclasses import dataclass
from typing import Any

import polars as pl
from torch import nn

from shrinkage.analysis.answers import ask
from shrinkage.analysis.features import Features, StableSet, frequencies, input_weights, leaving
from shrinkage.errors import FitError, RunError
from shrinkage.experiments.paths.selection import Selected, Wanted, select
from shrinkage.experiments.paths.setting import PathSetting
from shrinkage.experiments.studies import Finished
from shrinkage.plans import Plan
from shrinkage.reports.paths import path_figure, path_rows, path_table
from shrinkage.reports.paths.rows import PathRow
from shrinkage.runs import StableRecord
from shrinkage.runs.chains import fit_at, stable_key, weights_key
from shrinkage.runs.questions import Rows

_KINDS = {
    "fit": "penalised fit",
    "refit": "refit on its support",
    "stable": "stable features, refit",
}


@dataclass(frozen=True, eq=False, repr=False)
class PathPoint:
    """A chosen point: its scale, its figures over seeds, and the networks.

    ``family``: ``"fit"`` (penalised), ``"refit"`` (the same support, fit once more) or
    ``"stable"`` (the stable features alone); ``why``: the
    reason of the choice; ``row``: its losses, scores and counts, means over seeds; ``features``:
    those used in the first seed.
    """

    path: "RegularizationPath"
    selected: Selected

    def __repr__(self) -> str:
        return f"<PathPoint: scale {self.scale:.3g}, {self.family}, of {self.path!r}>"

    @property
    def scale(self) -> float:
        """The factor of the penalty."""
        return self.selected.scale

    @property
    def row(self) -> dict[str, Any]:
        """This point's row of :meth:`RegularizationPath.frame`."""
        return self._row.to_json()

    @property
    def _row(self) -> PathRow:
        rows = path_rows(self.path.view)
        mine = [row for row in rows if (row.scale, row.fit) == (self.scale, self.family)]
        if not mine:
            raise RunError(
                "the chosen point has no row",
                got=f"scale {self.scale:.3g}, whose training failed",
                expected="a point that can be used",
                remedy="Choose another one: choose(…).",
            )
        return mine[0]

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
        """The features that the first seed's network uses, by name; None where not known.

        Columns of a table that were one-hot encoded are one feature.
        """
        view = self.path.view
        fit = (
            view.records(StableRecord)[stable_key(0)]
            if self.family == "stable"
            else fit_at(view, 0, self.scale)
        )
        inputs = None if fit is None else fit.features
        if inputs is None:
            return None
        known = Features.of(view)
        return [name for name, used in zip(known.names, known.used(inputs), strict=True) if used]

    def predict(self, rows: Rows, seed: int = 0) -> pl.DataFrame:
        """What a seed's network says to new rows: a file, a frame, or an array of numbers.

        They are encoded and scaled as the training rows were; ``prediction`` is a class, or a
        number in the units of the data (under a loss of your own, of its outputs), and
        ``probability=CLASS`` stands beside classes.
        Raises :class:`DataError` for rows that do not fit, :class:`FitError` as :meth:`of_seed`.
        """
        seed = self.path.checked_seed(seed)
        return ask(self.path.setting.questions(seed), self.of_seed(seed)[0], rows)

    @property
    def model(self) -> nn.Module:
        """The network of the first seed, in eval mode.

        Its inputs are standardised columns, and so is a regression's target, unless a loss or a
        training of your own took it: see :meth:`predict`.
        """
        return self.of_seed(0)[0]

    @property
    def plan(self) -> Plan:
        """A plan for a network of the first seed at this scale."""
        return self.of_seed(0)[1]

    def of_seed(self, seed: int) -> tuple[nn.Module, Plan]:
        """The network of a seed, in eval mode, and its plan at this scale.

        Raises :class:`FitError` for a seed that was not run.
        """
        seed = self.path.checked_seed(seed)
        setting = self.path.setting
        model = setting.build(seed)
        stored = weights_key(self.path.view, self.family, seed, self.scale)
        model.load_state_dict(self.path.view.weights(stored))
        return model.eval(), setting.plan(model, seed, self.scale)

    def __str__(self) -> str:
        row, kind = self._row, _KINDS[self.family]
        return (
            f"scale {self.scale:.3g} ({kind}): {row.nonzeros:,.0f} nonzero weights, "
            f"{row.score_name} {_score(row.validation_score)} on validation data"
            + (f", {_score(row.test_score)} on test data" if row.test_score is not None else "")
            + f"\nchosen as {self.why}"
        )


def _score(value: float | None) -> str:
    return "—" if value is None else f"{value:.4f}"


@dataclass(frozen=True, eq=False, repr=False)
class RegularizationPath(Finished[PathSetting]):
    """A finished path: its run folder and the networks behind it. ``str`` of it is the table."""

    @property
    def chosen(self) -> PathPoint:
        """The point that the run chose."""
        choice = self.view.decided.choice
        assert choice is not None  # noqa: S101  (the run is finished)
        return PathPoint(self, Selected(choice.scale, choice.family, choice.why))

    @property
    def stable(self) -> StableSet | None:
        """The stable features, and what they rest on; None without stability selection."""
        found = self.view.decided.stable
        return None if found is None else StableSet.of(found)

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

        ``rule``: ``"1se"`` (default: the strongest penalty whose validation loss is at most the
        lowest plus its standard error, over seeds or folds; with one seed, over examples),
        ``"best"``, ``"paired"`` (within one standard error of the difference to the best, paired
        by seeds and examples) or ``"stable"``; or one of ``within`` (the fewest
        nonzeros whose score is within this of the best), ``nonzeros`` or ``features`` (the best
        with at most so many, and no constant unless 0 is asked for), ``scale``. The penalised fit
        or its refit, whichever has the lower validation loss.
        Raises :class:`FitError` for two wishes at once, and where no point fits.
        """
        wanted = Wanted(rule, within, nonzeros, features, scale)
        return PathPoint(self, select(self.view, wanted))

    def frame(self) -> pl.DataFrame:
        """One row per scale and fit (penalised, refit): means over seeds, and sd of the scores.

        A seed whose network emptied at a weaker scale counts as that empty network.

        Columns: scale, fit, nonzeros, density (share of penalised weights), features, penalty,
        train_loss, validation_loss, validation_score, validation_sd, test_loss, test_score,
        test_sd, score_name.
        """
        return pl.DataFrame(
            [row.to_json() for row in path_rows(self.view)], infer_schema_length=None
        )

    def figure(self) -> Any:
        """A plotly figure: held-out score against λ and nonzero weights, the choice ringed."""
        return path_figure(self.view)

    def features(self) -> pl.DataFrame:
        """One row per feature, the surest first.

        Columns: ``feature``; ``leaves``, the last scale at which it is used (null: never);
        ``size``, the norm of the first layers' weights that leave it, in the chosen network of the
        first seed; ``weight``, that of its number where there is a single one, as in a linear
        model. With stability selection also ``frequency``, the share of half samples that use
        it from the weakest counted scale on, and ``stable``. Columns of a table that were one-hot
        encoded are one feature. Raises :class:`FitError` where the wiring of the network is not
        known.
        """
        order = leaving(self.view)
        if not order:
            raise FitError(
                "which inputs the network uses is not known",
                got="a forward pass that could not be followed",
                expected="layers and functions of torch",
                remedy="Use nn.Linear and its like on the inputs.",
            )
        weights = input_weights(self.chosen.model, Features.of(self.view), self.setting.data)
        found, stable = frequencies(self.view), self.view.decided.stable
        rows: list[dict[str, Any]] = [
            {"feature": one.name, "leaves": one.scale, **weights.get(one.name, {})} for one in order
        ]
        if found is not None and stable is not None:
            share = found.at(stable.scale)
            rows = [
                row | {"frequency": share[row["feature"]], "stable": row["feature"] in stable.names}
                for row in rows
            ]
        table = pl.DataFrame(rows, infer_schema_length=None)
        return table.sort(
            [c for c in ("frequency", "leaves", "size") if c in table.columns],
            descending=True,
            nulls_last=True,
            maintain_order=True,
        )

    def __str__(self) -> str:
        return path_table(self.view)
