"""The files that a spec names: are they there, and what they have to be?"""

from lockstep.quality.suites import check_suite_file
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.shadows import check_shadow_tables
from lockstep.specs.training_spec import LABEL_QUERY


def check_files(loaded: LoadedSpec) -> None:
    """Check all files that a spec names, without data and without a registry.

    Raises:
        SpecError: One is missing or wrong, or a shadow table is a table of another spec.
    """
    spec = loaded.spec
    query = [] if spec.input.query is None else [spec.input.query]
    labels = [] if spec.labels is None else [spec.labels.query]
    training = [] if spec.training is None else [spec.training.script]
    label = [LABEL_QUERY] if spec.training is not None and spec.training.build else []
    for name in (*query, *spec.reporting.values(), *labels, *training, *label):
        loaded.file(name)
    check_suite_file(loaded.file(spec.checks.gate), gate=True)
    check_suite_file(loaded.file(spec.checks.audit))
    check_shadow_tables(loaded)
