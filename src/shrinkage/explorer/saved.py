"""What is on screen as a run folder: configuration, points, weights, report, link and picture."""

import base64
import binascii
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from torch import Tensor

from shrinkage.analysis.measures import Evaluation, evaluate
from shrinkage.errors import ExploreError
from shrinkage.experiments.contrasts.configuration import configuration
from shrinkage.experiments.fit import Epoch, Training
from shrinkage.experiments.studies import Cut, history, outcome
from shrinkage.explorer.lanes import Lane
from shrinkage.explorer.looks import Standing, penalty_of
from shrinkage.explorer.session import Session
from shrinkage.reports import report_page
from shrinkage.runs import FailedFitRecord, FitRecord, Run, TrialRecord
from shrinkage.runs.knobs import RATE
from shrinkage.runs.records import Json

_PNG = b"\x89PNG\r\n\x1a\n"


def save(session: Session, runs: Path, picture: str = "") -> Path:
    """Write a new run folder below ``runs``, and return it.

    Losses and scores in it are those of all rows in use, the held-out part (validation) and no
    test: it stays closed. ``picture``: PNG in base64, as the page drew it; ``settings.txt`` holds
    what :meth:`Controls.restored` takes back.
    Raises :class:`ExploreError` for a picture that is none, :class:`RunError` where it cannot be
    written.
    """
    image = _png(picture) if picture else None
    folder = _new_folder(runs)
    with Run(folder, _configuration(session)) as run:
        for lane in session.lanes:
            record, weights = _record(session, lane)
            if weights:
                run.save_weights(record.key, weights)
            run.append(record)
        choices = {lane.name: {"index": 0, "knob": _knob(lane)} for lane in session.lanes}
        run.finish(command=_command(session), choices=choices)
        run.write("settings.txt", session.controls.query + "\n")
        if image is not None:
            run.write("picture.png", image)
        run.write("report.html", report_page(run.view()))
    return folder


def _configuration(session: Session) -> Json:
    controls = session.controls
    training = Training(
        epochs=max(1, session.batches.epoch),
        batch_size=controls.batch_size,
        optimizer=controls.optimizer,
        lr=controls.lr,
        loss=session.setting.loss,
        penalty_from=0.0,
    )
    setting = replace(
        session.setting,
        columns=tuple(lane.column for lane in session.lanes),
        epochs=training.epochs,
        cut=Cut(controls.train_size, session.setting.cut.validation, session.setting.cut.test),
        biases=controls.biases,
    )
    plan = session.lanes[0].plan
    config = configuration(setting, plan, training, "best", session.model)
    columns = [
        {**column, "knobs": [_knob(lane)], "weakest": str(lane.column.penalty_at(lane.strength))}
        for column, lane in zip(config["columns"], session.lanes, strict=True)
    ]
    return {**config, "command": "explore", "columns": columns, "explored": controls.query}


def _knob(lane: Lane) -> float:
    """The dial; for a column that has none the factor of its learning rate."""
    return 1.0 if lane.column.knob == RATE else lane.knob


def _record(session: Session, lane: Lane) -> tuple[TrialRecord, dict[str, Tensor]]:
    about: Json = {"key": f"{lane.name}/0/0", "column": lane.name, "index": 0,
                   "knob": _knob(lane), "seed": 0, "keep": None}  # fmt: skip
    if lane.failed:
        return FailedFitRecord(**about, failed=lane.failed), {}
    parts = {"train": session.rows, "validation": session.held}
    evaluations = {
        name: evaluate(lane.model, rows, session.setting.loss) for name, rows in parts.items()
    }
    nonzeros = sum(int(p.count_nonzero()) for _, _, p in lane.plan.blocks())
    # The penalty of the last epoch is λ·P, as the controls have it now.
    last = Epoch(session.batches.epoch, evaluations, penalty_of(lane), nonzeros)
    per_epoch = -(-len(session.rows) // session.controls.batch_size)
    way = [_epoch(point, per_epoch) for point in session.curves.points.get(lane.name, [])]
    measured = outcome(lane.model, lane.plan, last, session.setting.data.spec)
    record = FitRecord(**about, **vars(measured), history=history([*way, last]), steps=lane.steps)
    return record, dict(lane.model.state_dict())


def _epoch(point: Standing, per_epoch: int) -> Epoch:
    def part(loss: float, score: float) -> Evaluation:
        return Evaluation(loss, score, point.score_name, 0, ())

    parts = {
        "train": part(point.train, point.train_score),
        "validation": part(point.held, point.held_score),
    }
    return Epoch(round(point.step / per_epoch), parts, point.penalty, point.size - point.zeros)


def _command(session: Session) -> str:
    """The contrast that asks the same question with seeds and a choice of λ."""
    names = ",".join(lane.name for lane in session.lanes)
    return f"shrinkage contrast {session.source} --model {session.model} --columns {names}"


def _png(picture: str) -> bytes:
    try:
        data = base64.b64decode(picture.removeprefix("data:image/png;base64,"), validate=True)
    except (ValueError, binascii.Error):
        data = b""
    if not data.startswith(_PNG):
        raise ExploreError(
            "the picture cannot be saved",
            got="no PNG",
            expected="the PNG that the page draws",
            remedy="Reload the page and save again.",
        )
    return data


def _new_folder(runs: Path) -> Path:
    name = f"explore-{datetime.now():%Y%m%d-%H%M%S}"
    folder, number = runs / name, 1
    while folder.exists():
        number += 1
        folder = runs / f"{name}-{number}"
    return folder
