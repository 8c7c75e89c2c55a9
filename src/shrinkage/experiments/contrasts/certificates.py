"""How far the chosen networks are from stationary, each on its own training data."""

from math import isnan

from shrinkage.analysis.certificates import certify
from shrinkage.errors import ShrinkageError
from shrinkage.experiments.contrasts import kinks
from shrinkage.experiments.contrasts.settings import ContrastSetting, TrialJob
from shrinkage.experiments.runner import Outcome
from shrinkage.runs import CertificateRecord, FailedCertificateRecord, GapRecord


def certify_fit(
    setting: ContrastSetting, job: TrialJob
) -> Outcome[CertificateRecord | FailedCertificateRecord]:
    """The certificate of a fit's network, on all training data of its seed, in eval mode.

    A column without a penalty has no strength to count in: of the unregularized one the residual
    is told, of columns that minimise something else (dropout, pruning) neither. The objective and
    that of the best constant prediction are told of all.
    """
    column = setting.by_name[job.column]
    model, plan = setting.trained(job)
    examples = setting.split(job.seed).train
    counts = column.penalty is not None
    samples = kinks.kink_samples(model, examples) if counts and job.seed == 0 else 0
    try:
        found = certify(model, plan, examples, setting.loss, samples=samples)
    except ShrinkageError as error:
        return FailedCertificateRecord(key=job.key, failed=error.briefly), {}
    trained = counts or (column.minimises and column.prunes_like is None)
    record = CertificateRecord(
        key=job.key,
        objective=found.objective,
        null_objective=None if isnan(found.null_objective) else found.null_objective,
        gap=found.gap if counts else None,
        kink_gap=found.kink_gap,
        samples=found.samples,
        radius=found.radius,
        residual=found.residual if trained else None,
        per_parameter={name: GapRecord(**vars(p)) for name, p in found.per_parameter.items()},
        examples=len(examples),
        kinks_up_to=kinks.KINKS_UP_TO,
        notes=found.notes,
    )
    return record, {}
