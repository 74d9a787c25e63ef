# SPDX-License-Identifier: Apache-2.0
"""A receiver that is away while an application with `install()` alone makes outcomes: what of them arrives.

`python -m tests.soak.outages --seconds 30 --mode refused --protocol grpc`; by default all of 5, 30 and 120 seconds in
each mode and protocol, one after the other. Exit code 1 where anything was lost or counted twice.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import grpc  # type: ignore[import-untyped]

from tests.integration.installed import PRELUDE, environ_of
from tests.integration.otlp_sink import GRPC, HTTP, plain
from tests.integration.scripted_receiver import GrpcReceiver, HttpReceiver, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

BEFORE_S: Final = 3.0
AFTER_S: Final = 15.0
MODES: Final = ("refused", "503", "hang")
APPLICATION: Final = """
import time
trace.set_tracer_provider(tracer_provider())
processor = install()
seconds, rate = float(sys.argv[1]), float(sys.argv[2])
began_s, issued = time.monotonic(), 0
while time.monotonic() - began_s < seconds:
    with agent_run("agent", run_id=str(issued)):
        pass
    issued += 1
    time.sleep(max(0.0, began_s + issued / rate - time.monotonic()))
flushed = trace.get_tracer_provider().force_flush(30000)
from agent_outcomes.semconv import AGENT_OUTCOMES_PROCESSOR_DROPPED as DROPPED
dropped = [[list(labels), count] for labels, count in processor._sink.health_totals().sums(DROPPED)]
print(json.dumps({"issued": issued, "flushed": flushed, "dropped": dropped}))
"""


class Receiver:
    """A receiver that can go away and come back at one port, and all that it ever took."""

    def __init__(self, protocol: str, mode: str) -> None:
        self._protocol = protocol
        self._mode = mode
        self._is_away = False
        self._all: list[HttpReceiver | GrpcReceiver] = []
        self._open(0)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._all[0].url

    def go(self) -> None:
        """Go away, in the way of the mode."""
        self._is_away = True
        if self._mode == "refused":
            self._all[-1].stop()

    def come_back(self) -> None:
        """Be there again."""
        self._is_away = False
        if self._mode == "refused":
            self._open(self._all[0].port)

    def stop(self) -> None:
        """End it for good."""
        self._all[-1].stop()

    def run_ids(self) -> list[str]:
        """Of every outcome that it took, as often as it did."""
        records = itertools.chain.from_iterable(one.taken.records() for one in self._all)
        return [str(plain(record.attributes)["agent.outcome.run_id"]) for record in records]

    def runs_counted(self) -> int:
        """What the metric says."""
        return max(
            (
                point.as_int
                for one in self._all
                for request in one.taken.metrics
                for resource in request.resource_metrics
                for scope in resource.scope_metrics
                for metric in scope.metrics
                if metric.name == "agent.runs"
                for point in metric.sum.data_points
            ),
            default=0,
        )

    def _open(self, port: int) -> None:
        if self._protocol == GRPC:
            self._all.append(GrpcReceiver(self._answer_call, port))
        else:
            self._all.append(HttpReceiver(self._answer, port))

    def _answer(self, *_: object) -> Reply | None:
        return Reply(503) if self._was_away() else None

    def _answer_call(self, _: str, __: int, context: Any) -> None:
        if self._was_away():
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")

    def _was_away(self) -> bool:
        """Whether it was away when asked; what had to wait for an answer until it came back is not taken."""
        was_away = self._is_away
        while self._mode == "hang" and self._is_away:
            time.sleep(0.05)
        return was_away


def outage(seconds: float, mode: str, protocol: str, rate: float, say: Callable[[str], object] = print) -> bool:
    """Run one outage, say its figure; whether nothing was lost and nothing counted twice."""
    receiver = Receiver(protocol, mode)
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    with subprocess.Popen(
        [sys.executable, "-c", PRELUDE + APPLICATION, str(BEFORE_S + seconds + AFTER_S), str(rate)],
        env=environ_of(**environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as application:
        time.sleep(BEFORE_S)
        receiver.go()
        time.sleep(seconds)
        receiver.come_back()
        out, err = application.communicate(timeout=120)
    told = json.loads(out.splitlines()[-1])
    ids = receiver.run_ids()
    receiver.stop()
    lost, repeated = told["issued"] - len(set(ids)), len(ids) - len(set(ids))
    is_kept = not lost and receiver.runs_counted() == told["issued"] and told["flushed"] and not told["dropped"]
    say(
        f"outage {seconds:g} s, {mode}, {protocol}: issued {told['issued']}, lost {lost}, sent twice {repeated}, "
        f"agent.runs {receiver.runs_counted()}, dropped {told['dropped']}, flush {told['flushed']}, "
        f"log lines {len(err.splitlines())}: {'kept' if is_kept else 'BROKEN'}"
    )
    return bool(is_kept)


def main() -> int:
    """Read the arguments and run what they ask for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[5, 30, 120], help="how long the receiver is away")
    parser.add_argument("--mode", choices=MODES, nargs="+", default=MODES, help="what it does meanwhile")
    parser.add_argument("--protocol", choices=(HTTP, GRPC), nargs="+", default=(HTTP, GRPC))
    parser.add_argument("--rate", type=float, default=20, help="outcomes a second")
    given = parser.parse_args()
    cases = itertools.product(given.seconds, given.mode, given.protocol)
    broken = sum(not outage(*case, given.rate) for case in cases)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
