# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.gateway_receiver_process`: both listeners in a process of their own, until its input ends.

Prints the URL and the gRPC target of the listeners. Requests are framed, and forgotten; with `reading` as an argument
all that is in them is read before that.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from agent_outcomes.gateway.wire.errors import WireError
from agent_outcomes.gateway.wire.frames import frame_logs, frame_traces
from agent_outcomes.gateway.wire.messages import read_log_record, read_resource, read_scope, read_span
from agent_outcomes.otel_variables import OtlpSignal
from tests.gateway_receiver import KeepingIntake, listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.gateway.wire.intake import ExportRequest, Taken


class ForgettingIntake(KeepingIntake):
    """Frames requests and, if it is told so, reads all that is in them; keeps none."""

    def __init__(self, *, is_reading: bool) -> None:
        super().__init__()
        self._is_reading = is_reading

    async def take(self, request: ExportRequest) -> Taken:
        taken = await super().take(request)
        self.requests.clear()
        if self._is_reading:
            _read(request)
        return taken


def _read(request: ExportRequest) -> None:
    if request.signal is OtlpSignal.TRACES:
        for scope in frame_traces(request.body):
            for frame in scope.spans:
                with suppress(WireError):
                    read_span(frame.encoded)
    elif request.signal is OtlpSignal.LOGS:
        for logs in frame_logs(request.body):
            with suppress(WireError):
                read_resource(logs.resource)
                read_scope(logs.scope)
            for record in logs.records:
                with suppress(WireError):
                    read_log_record(record)


class ReceiverProcess(NamedTuple):
    """A process with both listeners."""

    url: str
    target: str
    pid: int

    def peak_mib(self) -> float:
        """The most memory that it had resident (Linux)."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:  # noqa: PTH123 - of no file system
            peak = next(line for line in file if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 1024

    def cpu_s(self) -> float:
        """The processor time that it has had (Linux)."""
        with open(f"/proc/{self.pid}/schedstat", encoding="ascii") as file:  # noqa: PTH123 - of no file system
            return int(file.read().split()[0]) / 1e9


@contextmanager
def receiver_process(*, is_reading: bool = False) -> Iterator[ReceiverProcess]:
    """Both listeners, ended with the block."""
    command = [sys.executable, "-m", __name__, *(["reading"] if is_reading else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url, target = process.stdout.readline().split()
        yield ReceiverProcess(url, target, process.pid)
        process.stdin.close()
    assert process.returncode == 0


if __name__ == "__main__":
    with listening(intake=ForgettingIntake(is_reading="reading" in sys.argv)) as found:
        print(found.url, found.target, flush=True)
        sys.stdin.read()
