# SPDX-License-Identifier: Apache-2.0
"""The subcommand `doctor`: its arguments, and the checks in their order."""

from __future__ import annotations

import argparse
import logging
import math
import os
from typing import TYPE_CHECKING, Final

from agent_outcomes.doctor.around import check_program
from agent_outcomes.doctor.environment import read_targets
from agent_outcomes.doctor.findings import APP_LAYERS, EXIT_CODES, MEANINGS, Layer, LayerState, ok, skipped
from agent_outcomes.doctor.gateway import check_gateway
from agent_outcomes.doctor.inside import look_inside
from agent_outcomes.doctor.ledger import check_ledger
from agent_outcomes.doctor.network import check_network
from agent_outcomes.doctor.program_verdicts import judge_environment, judge_program
from agent_outcomes.doctor.reach import Deadline
from agent_outcomes.doctor.report import as_json, report_of
from agent_outcomes.otel_variables import OTLP_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_outcomes.doctor.findings import LayerFinding
    from agent_outcomes.doctor.report import Diagnosis

TIMEOUT_S: Final = 10.0
COMMAND_TIMEOUT_S: Final = 60.0
TIMEOUT_MAX_S: Final = 3600.0

_DESCRIPTION: Final = """\
Finds the layer at which outcomes get lost, and says what to change. Run it with the OTEL_* and
AGENT_OUTCOMES_* variables of your application.
"""
_EXAMPLES: Final = """\
examples:
  agent-outcomes doctor
  agent-outcomes doctor --json --timeout 5
  agent-outcomes doctor -- python app.py                         looks into the program, too
  agent-outcomes doctor -- opentelemetry-instrument python app.py
  agent-outcomes doctor --timeout 120 -- uvicorn app:app         a server is stopped at the time limit
"""


def add_doctor(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="find out why nothing shows up",
        description=_DESCRIPTION,
        epilog=f"{_EXAMPLES}\n{_exit_codes_text()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help=f"time limit for everything together (default {TIMEOUT_S:g}, with a command {COMMAND_TIMEOUT_S:g})",
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="your program, to be run and looked into"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    # What reads OTEL_EXPORTER_OTLP_HEADERS logs an entry that it cannot read, secret and all; the finding names it.
    logging.getLogger("opentelemetry.util.re").disabled = True
    command: list[str] = arguments.command
    if command[:1] == ["--"]:
        command = command[1:]
    timeout_s = arguments.timeout or (COMMAND_TIMEOUT_S if command else TIMEOUT_S)
    report = examine(os.environ, timeout_s, command, output_to_stderr=arguments.json)
    print(as_json(report) if arguments.json else str(report))  # noqa: T201 - a command's output
    return report.exit_code


def examine(
    environ: Mapping[str, str], timeout_s: float, command: Sequence[str] = (), *, output_to_stderr: bool = False
) -> Diagnosis:
    """Look at every layer that can be seen from here: the way to the receivers first, then the program, if any."""
    deadline = Deadline(timeout_s)
    # What the receivers may take, so that there is time left for the program.
    way = Deadline(min(TIMEOUT_S, timeout_s / 2)) if command else deadline
    settings = read_targets(environ)
    findings = list(settings.findings) or [ok(Layer.SETTINGS, "all values can be used")]
    network = check_network(settings.targets, settings.switched_off, _temporality(environ), way)
    ledger = check_ledger(environ, way, is_way_open=_is_open(network))
    findings += [*network, *ledger, check_gateway(environ, way)]
    if command:
        findings += check_program(command, environ, deadline.left_s(), output_to_stderr=output_to_stderr)
    else:
        findings += _without_program(environ)
    return report_of(findings)


def check(timeout_s: float = TIMEOUT_S) -> Diagnosis:
    """Look from inside a program: its settings, its providers, and the way to its receivers. `print` the report.

    Call it after OpenTelemetry is set up, best after a run. Takes at most `timeout_s` seconds and sends one probe
    per signal. Never raises.
    """
    deadline = Deadline(timeout_s)
    settings = read_targets(os.environ)
    findings = list(settings.findings) or [ok(Layer.SETTINGS, "all values can be used")]
    findings += [skipped(Layer.COMMAND, "this process is looked at"), *judge_program(look_inside(), os.environ)]
    network = check_network(settings.targets, settings.switched_off, _temporality(os.environ), deadline)
    ledger = check_ledger(os.environ, deadline, is_way_open=_is_open(network), looks_inside=True)
    findings += [*network, *ledger, check_gateway(os.environ, deadline)]
    return report_of(findings)


def _is_open(network: Sequence[LayerFinding]) -> bool:
    return not any(finding.state is LayerState.FAIL for finding in network)


def _temporality(environ: Mapping[str, str]) -> str:
    return environ.get(f"{OTLP_PREFIX}METRICS_TEMPORALITY_PREFERENCE", "")


def _without_program(environ: Mapping[str, str]) -> list[LayerFinding]:
    because = "give your program's command: agent-outcomes doctor -- python app.py"
    sampling = judge_environment(environ)
    return [
        sampling if sampling is not None and layer is Layer.SAMPLING else skipped(layer, because)
        for layer in APP_LAYERS
    ]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= TIMEOUT_MAX_S:
        message = f"{text[:80]} is no time limit; give seconds, more than 0 and at most {TIMEOUT_MAX_S:g}"
        raise argparse.ArgumentTypeError(message)
    return seconds


def _exit_codes_text() -> str:
    lines = [f"  {EXIT_CODES[layer]:>2}  {layer:<10} {MEANINGS[layer]}" for layer in Layer]
    return "\n".join(["exit codes (0: all well; otherwise the first layer that is broken):", *lines])
