# SPDX-License-Identifier: Apache-2.0
"""Ends of worker processes at which Python runs no `atexit` function: those of multiprocessing and of Celery."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.util import Finalize
    from types import ModuleType


def flush_when_multiprocessing_child_ends(flush: Callable[[], object]) -> None:
    """In a child that multiprocessing has started: flush when it ends, which it may do by `os._exit`.

    A child of a fork server imports the application before it becomes one, and forgets by then what is to be done at
    its end.
    """
    process = sys.modules.get("multiprocessing.process")
    multiprocessing_util = sys.modules.get("multiprocessing.util")
    if process is None or multiprocessing_util is None:
        return
    if process.parent_process() is not None:
        _flush_at_end(multiprocessing_util, flush)
    elif getattr(process.current_process(), "_inheriting", False):
        _flush_at_end_of_child(multiprocessing_util, flush)


def flush_when_worker_ends(flush: Callable[[], object], user: str) -> None:
    """In a forked child: flush when it ends as a worker of Celery or of multiprocessing, both by `os._exit`.

    Either library is imported by now if this is one of its workers. For each `user` there is one.
    """
    celery_signals = sys.modules.get("celery.signals")
    if celery_signals is not None:

        def on_shutdown(**_: Any) -> None:
            flush()

        celery_signals.worker_process_shutdown.connect(on_shutdown, weak=False, dispatch_uid=f"{__name__}.{user}")
    multiprocessing_util = sys.modules.get("multiprocessing.util")
    if multiprocessing_util is not None:
        _flush_at_end_of_child(multiprocessing_util, flush)


def _flush_at_end_of_child(multiprocessing_util: ModuleType, flush: Callable[[], object]) -> None:
    # It forgets all finalizers in the child, but only after this, and then calls what is registered here.
    multiprocessing_util.register_after_fork(
        _flush_at_end_of_child, lambda _: _flush_at_end(multiprocessing_util, flush)
    )


def _flush_at_end(multiprocessing_util: ModuleType, flush: Callable[[], object]) -> None:
    """Once, as each flush may wait for a receiver that is away: a child of a fork server may come here in two ways."""
    known = _finalizers.get(flush)
    if known is None or not known.still_active():
        _finalizers[flush] = multiprocessing_util.Finalize(None, flush, exitpriority=0)


_finalizers: Final[dict[Callable[[], object], Finalize]] = {}
