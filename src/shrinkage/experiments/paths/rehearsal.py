"""Everything once before anything is written: bad input is told early, warnings once."""

from contextlib import suppress
from dataclasses import replace

from shrinkage.data.outputs import check_state
from shrinkage.experiments.fit import DivergedError
from shrinkage.experiments.paths.ends import check_ends
from shrinkage.experiments.paths.points import fit_point
from shrinkage.experiments.paths.setting import PathSetting, PointJob
from shrinkage.experiments.paths.stable import check_selects_inputs
from shrinkage.plans import Plan


def rehearse(setting: PathSetting) -> Plan:
    """Build the network and cut the data of every seed; the plan, which warns."""
    for seed in range(setting.seeds):
        setting.split(seed)
    model = setting.build(0)
    check_state(model)
    setting.warn_of_probabilities(model)
    setting.check_loss(model)
    plan = Plan(model, setting.rules, example_inputs=setting.example)
    check_ends(setting, plan)
    if setting.stability is not None:
        check_selects_inputs(plan, setting.data.spec.input_shape)
    return plan


def rehearse_training(setting: PathSetting) -> None:
    """Train one epoch, so that a training function that cannot work says so at once."""
    if setting.solver == "train":
        with suppress(DivergedError):
            fit_point(replace(setting, epochs=1), PointJob(0, 0.0))
