"""What a run is: two calls with equal configurations are the same run."""

from dataclasses import asdict, fields
from typing import Any

from shrinkage.contrasts.identity import describe, fingerprint
from shrinkage.contrasts.settings import Setting
from shrinkage.fitting import Training
from shrinkage.paths.choice import Rule
from shrinkage.plans import Plan


def configuration(
    setting: Setting, plan: Plan, training: Training | None, rule: Rule, model: object
) -> dict[str, Any]:
    """The configuration of a contrast as plain JSON values, the plan's table among them."""
    data, spec = setting.data, setting.data.spec
    return {
        "command": "contrast",
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "task": data.task,
            "examples": len(data.x),
            "classes": list(data.classes),
            "columns": list(data.columns),
        },
        "spec": asdict(spec),
        "model": {"name": describe(model), "fingerprint": fingerprint(setting.factory)},
        "training": {"name": "your own", "fingerprint": fingerprint(setting.train)}
        if training is None
        else {
            **{f.name: getattr(training, f.name) for f in fields(training)},
            "optimizer": describe(training.optimizer),
            "fingerprint": fingerprint(training.optimizer),
            "loss": None if training.loss is None else describe(training.loss),
        },
        "loss": None if setting.loss is None else fingerprint(setting.loss),
        "columns": [
            {
                "name": column.name,
                "label": column.label,
                "knob": column.knob,
                "knobs": list(column.knobs(setting.strengths)),
                "penalty": None
                if column.penalty is None
                else str(column.penalty_at(setting.strengths[0])).partition("(")[0],
                "weakest": str(column.penalty_at(column.knobs(setting.strengths)[0])),
                "form": column.form,
            }
            for column in setting.columns
        ],
        "seeds": setting.seeds,
        "epochs": setting.epochs,
        "cut": asdict(setting.cut),
        "choose": rule,
        "biases": setting.biases,
        "norms": setting.norms,
        "polish": setting.polish,
        "plan": [
            {
                "name": e.name,
                "path": e.path,
                "shape": list(e.shape),
                "role": e.role.value,
                "penalised": e.penalty is not None,
                "reason": e.reason,
            }
            for e in plan.entries
        ],
    }
