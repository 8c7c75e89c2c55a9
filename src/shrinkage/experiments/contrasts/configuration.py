"""What a run is: two calls with equal configurations are the same run."""

from typing import Any

from shrinkage.experiments.contrasts.settings import ContrastSetting
from shrinkage.experiments.fit import Training
from shrinkage.experiments.paths.choice import ChoiceRule
from shrinkage.experiments.studies import describe_plan
from shrinkage.plans import Plan


def configuration(
    setting: ContrastSetting, plan: Plan, training: Training | None, rule: ChoiceRule, model: object
) -> dict[str, Any]:
    """The configuration of a contrast as plain JSON values, the plan's table among them."""
    return {
        "command": "contrast",
        **setting.describe(model, training),
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
        "choose": rule,
        "biases": setting.biases,
        "norms": setting.norms,
        "polish": setting.polish,
        **({"rescale": True} if setting.rescale else {}),
        **({} if setting.point_epochs is None else {"point_epochs": setting.point_epochs}),
        "plan": [one.to_json() for one in describe_plan(plan)],
    }
