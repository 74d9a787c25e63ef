# SPDX-License-Identifier: Apache-2.0
"""The subcommand `doctor`: its arguments, and the checks in their order."""

from __future__ import annotations

import argparse
import math
import os
from typing import TYPE_CHECKING, Final

from agent_outcomes.doctor.findings import EXIT_CODES, MEANINGS, Layer, ok, report_of
from agent_outcomes.doctor.network import check_network
from agent_outcomes.doctor.reach import Deadline
from agent_outcomes.doctor.rendering import as_json, as_text
from agent_outcomes.doctor.settings import read_otel_settings
from agent_outcomes.doctor.targets import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.doctor.findings import Report

TIMEOUT_S: Final = 10.0
TIMEOUT_MAX_S: Final = 3600.0

_DESCRIPTION: Final = """\
Finds the layer at which outcomes get lost, and says what to change. Run it with the OTEL_* and
AGENT_OUTCOMES_* variables of your application.
"""
_EXAMPLES: Final = """\
examples:
  agent-outcomes doctor
  agent-outcomes doctor --json --timeout 5
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
        default=TIMEOUT_S,
        metavar="SECONDS",
        help=f"time limit for everything together (default {TIMEOUT_S:g})",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    report = examine(os.environ, arguments.timeout)
    print(as_json(report) if arguments.json else as_text(report))  # noqa: T201 - a command's output
    return report.exit_code


def examine(environ: Mapping[str, str], timeout_s: float) -> Report:
    """Look at every layer that can be seen from here."""
    deadline = Deadline(timeout_s)
    settings = read_otel_settings(environ)
    findings = list(settings.findings) or [ok(Layer.SETTINGS, "all values can be used")]
    temporality = environ.get(f"{PREFIX}METRICS_TEMPORALITY_PREFERENCE", "")
    findings += check_network(settings.targets, settings.switched_off, temporality, deadline)
    return report_of(findings)


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
