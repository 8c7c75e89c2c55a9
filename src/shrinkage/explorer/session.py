"""Networks side by side from one start on the same batches, under controls that may change."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from shrinkage.data import Examples
from shrinkage.errors import ExploreError, ShrinkageError
from shrinkage.experiments.contrasts.settings import ContrastSetting
from shrinkage.experiments.fit import NotApplicableError
from shrinkage.experiments.studies import quiet_plan
from shrinkage.explorer.clicks import chosen, named
from shrinkage.explorer.commands import Select
from shrinkage.explorer.controls import OFFERED, ColumnChoice, Controls
from shrinkage.explorer.lanes import Lane, Probe
from shrinkage.explorer.looks import glance, largest, picture, stand, widened
from shrinkage.explorer.past import Curves, Past
from shrinkage.explorer.rows import Batches, Pool
from shrinkage.explorer.samples import affordable, first, spread
from shrinkage.explorer.scene import scene_of
from shrinkage.explorer.stories import Target, tell
from shrinkage.explorer.tour import Check, Scope, View, tour_of
from shrinkage.explorer.worth import worth
from shrinkage.plans import Rules
from shrinkage.reports.figures.style import lean, unzip
from shrinkage.runs.records import Json

_NARROW = 0.01


class Session:
    """Networks, their batches, what has been, and what is told of it; one thread at a time.

    Raises the package's errors for a network or data that do not work, before any training.
    """

    controls: Controls
    lanes: list[Lane]
    pool: Pool
    held: Examples
    rows: Examples
    batches: Batches
    curves: Curves
    past: Past
    probes: dict[str, Probe]

    def __init__(
        self, setting: ContrastSetting, controls: Controls, *, model: str = "", source: str = ""
    ) -> None:
        self.setting, self.model, self.source = setting, model, source
        self.edge, self.step = _NARROW, 0
        self.target: Target | None = None
        self.series: dict[str, list[tuple[int, float]]] = {}
        self.guide = -1
        self._begin(controls)
        lane = self.lanes[0]
        self.scene = scene_of(lane.plan, setting.data)
        self.measured_on = affordable(lane.model, self.pool.rows, setting.loss)
        self.scope = self._seen_scope()
        self.tour = tour_of(self.scope)

    @property
    def n_train(self) -> int:
        """How many training examples there are."""
        return len(self.pool)

    @property
    def is_over(self) -> bool:
        """Whether every network has stopped for good."""
        return all(lane.note for lane in self.lanes)

    def advance(self) -> None:
        """One step of every network, on the same batch with the same luck."""
        x, y = self.batches.next(self.rows, self.controls.batch_size)
        self.step += 1
        luck = self.controls.seed * 1_000_003 + self.step
        for lane in self.lanes:
            lane.step(x, y, luck)
        if self.batches.begins:
            held = self.seen_rows()[1]
            for lane in self.lanes:
                lane.end_epoch(held)

    def change(self, changes: Json) -> None:
        """Set controls; other columns, or another seed, begin anew.

        Raises :class:`ExploreError` for values without meaning, and then changes nothing.
        """
        self._take_over(self.controls.changed(changes))

    def restore(self, link: str) -> None:
        """Set what a link says; a training set that is larger than ours becomes all of it."""
        new = self.controls.restored(link)
        self._take_over(replace(new, train_size=min(new.train_size, self.n_train)))

    def _take_over(self, new: Controls) -> None:
        self._check_train_size(new)
        names = [choice.name for choice in new.columns]
        if names != [choice.name for choice in self.controls.columns] or (
            new.seed != self.controls.seed
        ):
            self._begin(new)
            return
        self.controls = new
        self.rows = self.pool.take(new.train_size, new.label_noise)
        rebuilt = False
        for lane, choice in zip(self.lanes, new.columns, strict=True):
            before = lane.plan
            lane.tune(new)
            lane.turn(choice.knob)
            rebuilt = rebuilt or lane.plan is not before
        if rebuilt:
            self.probes = _probes(self.lanes)

    def reset(self, seed: int | None) -> None:
        """Back to the initial weights, of another seed if given; nothing changes if that fails."""
        self._begin(self.controls if seed is None else self.controls.changed({"seed": seed}))

    def wake(self, column: str) -> None:
        """Start one column again from its initial weights, at the step where the others are."""
        for at, choice in enumerate(self.controls.columns):
            if choice.name == column:
                setting = replace(self.setting, biases=self.controls.biases)
                self.lanes[at] = _lane(setting, choice, self.controls, self.pool.rows.y)
                self.lanes[at].steps = self.step
                self.probes = _probes(self.lanes)
                return
        raise ExploreError(
            "there is no such column to wake",
            got=repr(column),
            expected=", ".join(choice.name for choice in self.controls.columns),
            remedy="Reload the page.",
        )

    def select(self, command: Select) -> None:
        """Follow a weight or a unit; :class:`ExploreError` where there is none such."""
        self.target = chosen(command, self.scene, self.lanes) if command.kind else None
        self.series = {}
        if (target := self.target) is not None:
            self.series = {lane.name: self.past.series(target, lane.name) for lane in self.lanes}

    def lead(self, step: int) -> None:
        """Go to a step of the tour and set its controls; −1 ends it."""
        if not -1 <= step < len(self.tour):
            raise ExploreError(
                "the tour has no such step",
                got=step,
                expected=f"0 to {len(self.tour) - 1}, or −1 to end it",
                remedy="Reload the page.",
            )
        if step >= 0:
            told = self.tour[step]
            self.change(told.changes(self.scope))
            if told.anew:
                self.reset(None)
        self.guide, self._guided_at = step, self.step

    def glance(self) -> Json:
        """The cheap part of what is on screen."""
        pictures = [picture(lane, self.scene) for lane in self.lanes]
        # Scales are those of the networks that train: a diverged one would hide all others.
        sound = [k for k, lane in enumerate(self.lanes) if not lane.failed]
        scale = largest([pictures[k] for k in sound] or pictures)
        self._widen([self.lanes[k] for k in sound])
        if self.target is not None:
            self._follow(self.target)
        return {
            "kind": "glance",
            "step": self.step,
            "epoch": self.batches.epoch,
            "edge": self.edge,
            "lanes": [
                glance(lane, self.scene, drawn, scale, self.edge)
                for lane, drawn in zip(self.lanes, pictures, strict=True)
            ],
            "series": {name: _drawn(points) for name, points in self.series.items()},
        }

    def looking(self) -> Iterator[Json | None]:
        """The costly part, piece by piece: losses, scores, activity, steps, story, tour.

        Yields None after each piece, so that commands need not wait, and at last the message;
        the networks must stand still meanwhile. Adds to the curves.
        """
        parts = self.seen_rows()
        for lane in self.lanes:
            if not lane.failed or lane.name not in self.curves.points:
                probe = self.probes.get(lane.name)
                standing, shown = stand(lane, probe, self.controls.lr, parts, self.setting.loss)
                self.curves.add(standing)
                self._drawn[lane.name] = shown
                yield None
        self.past.note(self.step, self.lanes)
        told: Json = {}
        if self.target is not None:
            for lane in self.lanes:
                if not lane.note:
                    told[lane.name] = self._told(lane, self.target, parts[0])
                    yield None
        yield {
            "kind": "look",
            "step": self.step,
            "lanes": {
                lane.name: {
                    **self.curves.newest(lane.name),
                    **self._drawn[lane.name],
                    "curve": self.curves.lines(lane.name),
                }
                for lane in self.lanes
            },
            "story": self._story(told, len(parts[0])),
            "check": self._check(parts[0]),
        }

    def look(self) -> Json:
        """The message of :meth:`looking` at once."""
        return next(message for message in self.looking() if message is not None)

    def seen_rows(self) -> tuple[Examples, Examples]:
        """The training and held-out rows that curves and stories are measured on."""
        return first(self.rows, self.measured_on), spread(self.held, self.measured_on)

    def _seen_scope(self) -> Scope:
        """What can be shown of this network and these data."""
        setting, model = self.setting, self.lanes[0].model
        columns = frozenset(
            name for name, c in OFFERED.items() if c.applies(model, setting.factory)
        )
        plan = quiet_plan(model, Rules(OFFERED["l1"].penalty_at(1.0), biases=True))
        is_all = plan.n_penalised == sum(p.numel() for p in model.parameters())
        return Scope(columns, is_all, self.n_train, len(setting.data.classes))

    def _begin(self, controls: Controls) -> None:
        """Build everything for these controls; nothing is taken over before all of it works."""
        setting = replace(self.setting, biases=controls.biases)
        split = setting.split(controls.seed)
        n_classes = len(setting.data.classes)
        pool = Pool.of(split.train, n_classes, controls.seed)
        controls = replace(controls, train_size=min(controls.train_size, len(pool)))
        lanes = [_lane(setting, choice, controls, pool.rows.y) for choice in controls.columns]
        self.pool, self.held, self.controls, self.lanes = pool, split.validation, controls, lanes
        self._check_train_size(controls)
        self.rows = pool.take(controls.train_size, controls.label_noise)
        self.batches, self.step, self._guided_at = Batches(controls.seed), 0, 0
        self.probes = _probes(lanes)
        self.curves, self.past = Curves(), Past()
        self.past.note(0, lanes)
        self._drawn: dict[str, Json] = {}
        self.series = {lane.name: [] for lane in lanes} if self.target is not None else {}

    def _check_train_size(self, controls: Controls) -> None:
        least = max(2, len(self.setting.data.classes))
        if not least <= controls.train_size <= self.n_train:
            raise ExploreError(
                "training examples are out of range",
                got=controls.train_size,
                expected=f"{least} to {self.n_train}",
                remedy="Nothing was changed.",
            )

    def _widen(self, lanes: list[Lane]) -> None:
        """Let the histograms' axis reach the weights of these; it narrows only at the start."""
        if lanes:
            self.edge = widened(lanes, self.edge if self.step else _NARROW)

    def _follow(self, target: Target) -> None:
        for lane in self.lanes:
            points = self.series.setdefault(lane.name, [])
            now = (self.step, target.size(lane.model.get_parameter(target.path).detach()))
            if points and points[-1][0] == self.step:
                points.pop()
            points.append(now)
            if len(points) > 300:
                del points[1:-1:2]

    def _told(self, lane: Lane, target: Target, train: Examples) -> Json:
        return asdict(tell(lane, target, train, self.setting.loss, self.controls.lr))

    def _story(self, told: Json, n: int) -> Json | None:
        target = self.target
        if target is None:
            return None
        return {
            "parameter": target.path,
            "name": target.name,
            "index": target.index,
            "unit": target.is_unit,
            "where": named(target, self.scene),
            "told": told,
            "n": n,
            "of": len(self.rows),
        }

    def _check(self, train: Examples) -> Json | None:
        if self.guide < 0:
            return None
        step, begun, found = self.tour[self.guide], self._guided_at, None
        lane = next((lane for lane in self.lanes if lane.name == "l1"), None)
        if step.deep and lane is not None and not lane.note:
            found = worth(lane, train, self.setting.loss)
        points = {
            lane.name: [p for p in self.curves.points[lane.name] if p.step >= begun]
            for lane in self.lanes
        }
        check = step.check(View(points, self.controls, found, begun))
        sentence = check.sentence + self._at_rest(check)
        return {"step": self.guide, "verdict": check.verdict, "sentence": sentence}

    def _at_rest(self, check: Check) -> str:
        """Which networks must be woken before a step of the tour can be seen, as a sentence."""
        names = [
            lane.column.label
            for lane in self.lanes
            if lane.note or self._drawn.get(lane.name, {}).get("asleep")
        ]
        if check.verdict == "seen" or not names:
            return ""
        return f" At rest: {', '.join(names)}. Press the button in its column, then let it train."


def _lane(setting: ContrastSetting, choice: ColumnChoice, controls: Controls, y: Tensor) -> Lane:
    """A lane; what the column needs and the network lacks is told as this column's own error."""
    try:
        return Lane(setting, choice, controls, y)
    except ShrinkageError as error:
        if not isinstance(error, NotApplicableError):
            raise
        raise ExploreError(
            f"the column {choice.column.label!r} cannot be shown",
            got=error.got,
            expected=error.expected,
            remedy=error.remedy,
        ) from None


def _drawn(points: list[tuple[int, float]]) -> list[Any]:
    steps, values = unzip(points)
    return [steps, lean(values)]


def _probes(lanes: list[Lane]) -> dict[str, Probe]:
    return {lane.name: Probe(lane) for lane in lanes if lane.column.penalty is not None}
