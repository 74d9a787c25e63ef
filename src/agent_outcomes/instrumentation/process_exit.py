# SPDX-License-Identifier: Apache-2.0
"""Ends of a process at which Python runs no `atexit` function, so that nobody flushes: signals and forked workers."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

# With what the interpreter itself takes to end, less than the five seconds of many a supervisor.
EXIT_FLUSH_S: Final = 4.0
_OURS: Final = "__agent_outcomes__"


def flush_all(flushes: Sequence[Callable[[], object]], timeout_s: float) -> bool:
    """Run all of them at once, each in a thread of its own, and say whether all ended well within the time.

    The SDK's own flushes take a timeout and do not keep to it; and a signal may have interrupted the very thread that
    holds the lock which a flush needs. Never raises.
    """
    deadline_s = time.monotonic() + timeout_s
    done: list[bool] = []

    def run(flush: Callable[[], object]) -> None:
        with contextlib.suppress(Exception):  # a provider or exporter of the application raised: not done, then
            done.append(flush() is not False)

    threads = [
        threading.Thread(target=run, args=(flush,), name="agent-outcomes-flush", daemon=True) for flush in flushes
    ]
    for thread in threads:
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends and starts no more threads
            return False
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    return len(done) == len(flushes) and all(done)


def flush_on_sigterm(flush: Callable[[], object]) -> None:
    """Flush before SIGTERM ends the process, as `docker stop` or Kubernetes do; only where nothing else handles it.

    The process still dies of the signal, so that its exit status stays what it was. Servers that set a handler of
    their own replace ours. Never raises.
    """

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        flush()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    with contextlib.suppress(ValueError):  # signals are the main thread's
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, end)


def flush_when_uvicorn_stops(flush: Callable[[], object]) -> None:
    """Flush at the end of a uvicorn server's shutdown, if uvicorn is imported by now.

    It then raises in its own process the signal that stopped it, under the handler of before: mostly the default one,
    as gunicorn's worker class for uvicorn resets handlers after the fork.
    """
    server = getattr(sys.modules.get("uvicorn.server"), "Server", None)
    shutdown = getattr(server, "shutdown", None)
    if shutdown is None or hasattr(shutdown, _OURS):
        return

    @functools.wraps(shutdown)
    async def flushing(*args: Any, **kwargs: Any) -> None:
        try:
            await shutdown(*args, **kwargs)
        finally:
            flush()

    setattr(flushing, _OURS, True)
    setattr(server, "shutdown", flushing)  # noqa: B010 - assigning to a method is what mypy forbids


def is_interpreter_ending() -> bool:
    """Whether the main thread is through, and `atexit` functions run or are about to."""
    return not threading.main_thread().is_alive()
