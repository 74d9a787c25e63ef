# SPDX-License-Identifier: Apache-2.0
"""A Celery application whose broker is a folder."""

from __future__ import annotations

from celery import Celery  # type: ignore[import-untyped]

from tests.soak.workload import FOLDER, issue

QUEUE = FOLDER / "queue"
QUEUE.mkdir(exist_ok=True)
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": QUEUE,
    "data_folder_out": QUEUE,
    "control_folder": QUEUE / "control",
}
app.conf.worker_max_tasks_per_child = 1
app.conf.worker_prefetch_multiplier = 1


@app.task  # type: ignore[untyped-decorator]
def work(first: int, count: int) -> None:
    """End so many runs."""
    issue(first, count)
