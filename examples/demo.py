# SPDX-License-Identifier: Apache-2.0
"""Run three example agents and print what their outcomes amount to, read back from the OTLP that was exported."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO
from urllib.parse import urlsplit

from agent_outcomes import SettingsError
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.requirements import require_packages
from demo_export import Destination, Pipelines
from demo_late import LateWork
from demo_ledger import Figures, Ledger, differences
from demo_plan import PlannedRun, perform_run, plan_round
from demo_readback import EVENT_FIGURES, METRIC_FIGURES, Events, read_events, read_metrics
from demo_tables import all_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


EXIT_OK: Final = 0
EXIT_MISMATCH: Final = 1
EXIT_BAD_ARGUMENTS: Final = 2
EXIT_EXPORT_FAILED: Final = 3
ROUND_S: Final = 60
HTTP_PORT: Final = 4318
DIFFERENCES_SHOWN_MAX: Final = 20
BAR_WIDTH: Final = 40
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", re.ASCII)
_SECONDS: Final = {None: 1, "s": 1, "m": 60, "h": 3600}

EPILOG: Final = """\
examples:
  python examples/demo.py                                    # OTLP JSON files in ./demo-out
  python examples/demo.py --endpoint http://localhost:4317   # to a collector, over gRPC
  python examples/demo.py --endpoint http://localhost:4318   # over HTTP (port 4318, or --protocol http/protobuf)
  ENDPOINT=http://localhost:4317 python examples/demo.py --for 10m    # for people who watch a dashboard
  python examples/demo.py --ledger sqlite:///demo.db         # with late verdicts, corrections and people's time

exit codes: 0 all figures as planned, 1 a figure differs, 2 bad arguments, 3 an export failed
"""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line in typed form; `spread_s` is how long the runs are spread over, 0 for as fast as they go."""

    destination: Destination
    scale: int
    spread_s: float
    seed: int
    progress: bool


class Progress:
    """A bar on a terminal, nothing anywhere else."""

    def __init__(self, total: int, out: TextIO, *, enabled: bool) -> None:
        self._total = total
        self._out = out if enabled and out.isatty() else None
        self._step = max(1, total // 200)

    def show(self, done: int) -> None:
        """Redraw, if it would look different."""
        if self._out is None or (done % self._step and done != self._total):
            return
        filled = BAR_WIDTH * done // self._total
        end = "\n" if done == self._total else ""
        self._out.write(f"\r[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {done}/{self._total} runs{end}")
        self._out.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    options = parse(arguments)
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        print("demo: OTEL_SDK_DISABLED is set, so the SDK would export nothing", file=sys.stderr)
        return EXIT_BAD_ARGUMENTS
    try:
        before = _totals_before(options.destination)
        pipelines = Pipelines(options.destination)
    except OSError as error:
        print(f"demo: cannot write to {options.destination.folder}: {error}", file=sys.stderr)
        return EXIT_BAD_ARGUMENTS
    except SettingsError as error:
        print(f"demo: {error}", file=sys.stderr)
        return EXIT_BAD_ARGUMENTS
    started = time.monotonic()
    late = LateWork()
    ledger = _run_all(options, pipelines, late)
    took_s = time.monotonic() - started
    if options.destination.ledger is not None:
        return _check_kept(options.destination, pipelines, ledger, late, before)
    pipelines.shutdown()
    if pipelines.failures:
        return _export_failed(pipelines.failures.lines, options.destination)
    events = read_events(pipelines.logs.read())
    figures = read_metrics(pipelines.metrics.read())
    print(f"{events.count} runs in {took_s:.1f} s. All figures below are read back from the exported OTLP.\n")
    print(all_tables(figures, events.samples))
    print()
    return _check(ledger, figures, events, pipelines, options.destination)


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line; exits with 2 on bad arguments."""
    parser = argparse.ArgumentParser(
        prog="demo.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--endpoint", metavar="URL", help="OTLP endpoint to export to (default: the variable ENDPOINT; else files)"
    )
    parser.add_argument(
        "--protocol", choices=("grpc", "http/protobuf"), help="default: grpc, or http/protobuf on port 4318"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="write OTLP JSON files here (default: ./demo-out without an endpoint)"
    )
    parser.add_argument(
        "--ledger",
        metavar="URL",
        help="keep every outcome in this database, and report late verdicts, corrections and people's time to it "
        "(default: the variable LEDGER)",
    )
    parser.add_argument("--runs-scale", type=_positive, default=1, metavar="N", help="N times the 1,000 runs")
    parser.add_argument(
        "--for", dest="spread_s", type=_duration, default=0.0, metavar="TIME", help="repeat, spread over e.g. 90s, 10m"
    )
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="order and amounts (default: 7)")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    given = parser.parse_args(arguments)
    endpoint = given.endpoint if given.endpoint is not None else os.environ.get("ENDPOINT", "")
    try:
        destination = _destination(endpoint.strip(), given.protocol, given.out)
        ledger = given.ledger if given.ledger is not None else os.environ.get("LEDGER", "")
        destination = replace(destination, ledger=ledger.strip() or None)
    except ValueError as error:
        parser.error(str(error))
    return Options(destination, given.runs_scale, given.spread_s, given.seed, progress=not given.no_progress)


def _destination(endpoint: str, protocol: str | None, folder: Path | None) -> Destination:
    if not endpoint:
        return Destination(None, protocol or "grpc", folder or Path("demo-out"))
    url = endpoint if "://" in endpoint else f"http://{endpoint}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = f"not an OTLP endpoint: {endpoint!r}; give for example http://localhost:4317"
        raise ValueError(message)
    return Destination(url, protocol or ("http/protobuf" if parts.port == HTTP_PORT else "grpc"), folder)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        message = f"not a whole number from 1: {text!r}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _duration(text: str) -> float:
    found = _DURATION.fullmatch(text)
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if seconds <= 0:
        message = f"not a duration: {text!r}; give for example 90s, 10m or 1h"
        raise argparse.ArgumentTypeError(message)
    return seconds


def _totals_before(destination: Destination) -> Figures:
    """What the ledger holds from earlier runs of the demo. Raises SettingsError."""
    if destination.ledger is None:
        return Figures()
    require_packages()
    from demo_kept import read_totals  # noqa: PLC0415 - needs the packages

    return read_totals(destination.ledger)


def _run_all(options: Options, pipelines: Pipelines, late: LateWork) -> Ledger:
    """Run every planned job, until done, interrupted or an export has failed; enters in the ledger what was done."""
    rounds = max(1, round(options.spread_s / ROUND_S))
    stop = threading.Event()
    _stop_on_interrupt(stop)
    ledger = Ledger()
    progress = Progress(_total(rounds, options), sys.stderr, enabled=options.progress)
    with asyncio.Runner() as runner:
        for done, planned in enumerate(_paced(options, rounds, stop), start=1):
            perform_run(planned, runner)
            ledger.enter(planned)
            late.note(planned, pipelines.last_run.trace_id)
            progress.show(done)
            if stop.is_set() or pipelines.failures:
                break
    return ledger


def _total(rounds: int, options: Options) -> int:
    return rounds * len(plan_round(options.seed, 0, options.scale))


def _paced(options: Options, rounds: int, stop: threading.Event) -> Iterator[PlannedRun]:
    interval_s = options.spread_s / _total(rounds, options)
    started = time.monotonic()
    number = 0
    for round_number in range(rounds):
        for planned in plan_round(options.seed, round_number, options.scale):
            wait_s = started + number * interval_s - time.monotonic()
            if wait_s > 0 and stop.wait(wait_s):
                return
            number += 1
            yield planned


def _stop_on_interrupt(stop: threading.Event) -> None:
    def on_interrupt(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, on_interrupt)


def _export_failed(lines: Sequence[str], destination: Destination) -> int:
    target = destination.endpoint or destination.folder
    print(f"demo: export to {target} failed {len(lines)} times; the first: {lines[0]}", file=sys.stderr)
    if destination.endpoint is not None:
        print("demo: is a collector listening there, and is --protocol right?", file=sys.stderr)
    return EXIT_EXPORT_FAILED


def _check_kept(destination: Destination, pipelines: Pipelines, ledger: Ledger, late: LateWork, before: Figures) -> int:
    """Report what becomes known late, deliver, and compare the ledger with the plan."""
    from demo_kept import read_standing, read_totals  # noqa: PLC0415 - only where there is a ledger

    url = destination.ledger or ""
    late.report(url, ledger)
    if destination.endpoint is not None:
        pipelines.deliver()
    pipelines.shutdown()
    if pipelines.failures:
        return _export_failed(pipelines.failures.lines, destination)
    figures, standing = read_totals(url).without(before), read_standing(url, late.trace_ids)
    print(f"{standing.count} runs, then {late}. All figures below are the ledger's.\n")
    print(all_tables(figures, standing.samples))
    print()
    lines = differences(ledger.figures, figures, "the ledger's totals say", METRIC_FIGURES)
    lines += differences(ledger.figures, standing.figures, "what stands of the runs says", EVENT_FIGURES)
    if standing.spans != pipelines.root_spans():
        lines.append(f"{standing.count} runs in the ledger are not the {len(pipelines.root_spans())} root spans")
    if lines:
        return _mismatch(lines)
    print("Check: the ledger's totals and its runs agree with the plan, money to the last digit.")
    if destination.endpoint is not None:
        print(f"Delivered: all events and totals, confirmed by {destination.endpoint} ({destination.protocol}).")
    print(f"Look into it: agent-outcomes ledger status --ledger {read_location(url)}")
    return EXIT_OK


def _mismatch(lines: Sequence[str]) -> int:
    shown = "\n  ".join(lines[:DIFFERENCES_SHOWN_MAX])
    print(f"MISMATCH: {len(lines)} figures differ from the plan:\n  {shown}")
    return EXIT_MISMATCH


def _check(ledger: Ledger, figures: Figures, events: Events, pipelines: Pipelines, destination: Destination) -> int:
    lines = differences(ledger.figures, figures, "metrics say", METRIC_FIGURES)
    lines += differences(ledger.figures, events.figures, "events say", EVENT_FIGURES)
    roots = pipelines.root_spans()
    if events.spans != roots or events.count != len(roots):
        lines.append(f"{events.count} events belong to {len(events.spans & roots)} of {len(roots)} exported root spans")
    if lines:
        return _mismatch(lines)
    print("Check: events, metrics and traces agree with the plan, money to the last digit.")
    if destination.folder is not None:
        print(
            f"Written: {', '.join(str(destination.folder / f'{name}.json') for name in ('traces', 'logs', 'metrics'))}"
        )
    if destination.endpoint is not None:
        print(f"Sent: traces, logs and metrics to {destination.endpoint} ({destination.protocol}).")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
