"""A network on the test part."""

from dataclasses import dataclass

from shrinkage.measures import evaluate
from shrinkage.paths.setting import Setting, Weights
from shrinkage.runs import RunView
from shrinkage.studies import Point, refit_key


@dataclass(frozen=True, eq=False)
class Testing:
    """A network to be tested: its seed, its name in the run folder, its weights."""

    seed: int
    name: str
    weights: Weights


def networks(view: RunView) -> dict[int, list[str]]:
    """Every network that has been stored, by seed: fits, their refits, and those beside them."""
    names: dict[int, list[str]] = {}
    for kind in ("fit", "magnitude", "stable"):
        for point in view.of_kind(kind).values():
            if "failed" not in point:
                refit = [refit_key(point["key"])] if "refit" in point else []
                names.setdefault(point["seed"], []).extend([point["key"], *refit])
    return names


def on_test_part(setting: Setting, job: Testing) -> Point:
    """Loss and score on the test part."""
    model = setting.build(job.seed)
    model.load_state_dict(dict(job.weights))
    result = evaluate(model, setting.split(job.seed).test, setting.loss, chunks=1)
    return {
        "kind": "test",
        "key": job.name,
        "loss": result.loss,
        "score": result.score,
        "n": result.n,
    }
