"""What a run is: two calls with equal configurations are the same run."""

from dataclasses import asdict
from typing import Any

from shrinkage.experiments.fit import Training
from shrinkage.experiments.paths.selection import Wanted
from shrinkage.experiments.paths.setting import PathSetting
from shrinkage.experiments.studies import describe_plan
from shrinkage.plans import Plan


def configuration(
    setting: PathSetting, plan: Plan, training: Training | None, wanted: Wanted, model: object
) -> dict[str, Any]:
    """The configuration of a path as plain JSON values, the plan's table among them."""
    return {
        "command": "path",
        **setting.describe(model, training),
        "rules": [
            {"key": rule.label, "penalty": None if rule.penalty is None else str(rule.penalty)}
            for rule in setting.rules.rules
        ],
        "biases": setting.rules.biases,
        "norms": setting.rules.norms,
        "rescale": setting.rules.rescale,
        "grid": asdict(setting.grid),
        "refine": setting.refine,
        "point_epochs": setting.point_epochs,
        "most_rounds": setting.most_rounds,
        "refit": setting.refit,
        "solver": setting.solver,
        "shrink": setting.shrink,
        "stability": None if setting.stability is None else asdict(setting.stability),
        "magnitude": setting.magnitude,
        "choose": asdict(wanted),
        "plan": [one.to_json() for one in describe_plan(plan)],
    }
