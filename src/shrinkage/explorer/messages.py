"""What a page must know once, and controls and clock, as plain values."""

from dataclasses import asdict

from shrinkage.explorer.controls import DIAL_END, OFFERED, OPTIMIZERS, SHALLOW_END
from shrinkage.explorer.looks import picture
from shrinkage.explorer.session import Session
from shrinkage.reports.figures.style import colour
from shrinkage.runs.knobs import knob
from shrinkage.runs.records import Json

_SYMBOLS = {
    "l1_term": "Σ|w|",
    "l1": "Σ|w|",
    "l2": "Σw²",
    "elastic_net": "Σ(|w|+w²)/2",
    "group_l1": "Σ√m‖w_g‖",
}


def hello(session: Session) -> Json:
    """What a page must know once: columns, layers, the first layer, the tour."""
    setting, scene, first = session.setting, session.scene, session.scene.first
    pictures = [picture(lane, scene) for lane in session.lanes]
    return {
        "kind": "hello",
        "title": f"{setting.data.name}, {session.model}",
        "columns": [
            {"name": c.name, "label": c.label, "knob": c.knob, "colour": colour(c.name),
             "penalty": _SYMBOLS.get(c.name, ""), "symbol": knob(c.knob).symbol, "most": c.most}
            for c in OFFERED.values()
        ],
        "optimizers": list(OPTIMIZERS),
        "trained_on": session.n_train,
        "held_on": len(session.held),
        "measured_on": session.measured_on,
        "dial_end": DIAL_END if len(scene.layers) > 1 else SHALLOW_END,
        "classes": len(setting.data.classes),
        "layers": [
            {"name": layer.name, "path": layer.path, "inputs": layer.n_inputs,
             "units": layer.units.n_groups, "connections": layer.kernels.n_groups,
             "kernels": layer.kernels.group_size > 1, "ends": layer.ends,
             "pick": layer.pairs[:, 0].tolist()}
            for layer in scene.layers
        ],
        "first": None
        if first is None
        else {**first.describe([p for p in pictures if p is not None]), "path": first.path,
              "image": list(first.image), "names_all": list(first.columns)},
        "tour": [{"title": c.title, "look": c.look, "focus": c.focus} for c in session.tour],
    }  # fmt: skip


def state(session: Session, playing: bool) -> Json:
    """Controls and clock."""
    controls = session.controls
    return {
        "kind": "state",
        "controls": {**asdict(controls), "columns": [asdict(c) for c in controls.columns]},
        "query": controls.query,
        "playing": playing,
        "guide": session.guide,
        "telling": session.target is not None,
    }
