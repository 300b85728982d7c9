"""Tasks, one file each: what is predicted from features, and how the prediction is judged.

A task is a frozen :class:`biasprop.component.Component` that satisfies :class:`biasprop.interfaces.Task`. It chooses
the target of the labelled, validation, calibration and test sets (``disease_index``), has the head that protocols fit
(``head``, ``fit``) and its loss (``loss``), and names the variables that an arm stores (``stored``), what metrics can
need of it (``provides``) and the link scale on which contrasts are taken (``link``). Pretraining and
encoders do not know the task, so arms of several tasks share one encoder.

To add one: write one file, add one line to :data:`TASKS`, and regenerate the schema of study files with
``python -m biasprop.study.schema``. The contract tests in ``tests/tasks`` read the table and test the new member.
"""

from biasprop.component import Component
from biasprop.tasks.disease import Disease

TASKS: dict[str, type[Component]] = {
    "disease": Disease,
}
