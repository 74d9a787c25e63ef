# SPDX-License-Identifier: Apache-2.0
"""The command `agent-outcomes`: each subcommand lives in a module of its own, which adds its parser here."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

from agent_outcomes._version import __version__
from agent_outcomes.doctor import add_doctor
from agent_outcomes.explain.command import add_explain
from agent_outcomes.gateway_command.parser import add_keys, add_serve
from agent_outcomes.ledger_command.parser import add_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_INTERRUPTED: Final = 130
EXIT_OUTPUT_CLOSED: Final = 141

_DESCRIPTION: Final = "Typed outcomes of agent runs as OpenTelemetry events and metrics."
_EPILOG: Final = """\
examples:
  agent-outcomes doctor                    check the settings and what receives your telemetry
  agent-outcomes doctor -- python app.py   check the application itself as well
  agent-outcomes explain traces.json       say for each run in exported spans which rule decided what
  agent-outcomes ledger status             say how much a ledger has accepted and delivered
  agent-outcomes serve                     take spans of agents in any language; show their outcomes on a page

exit codes: 0 all well, 2 the command line cannot be understood, 130 interrupted, 141 the output was
closed by its reader; further ones are listed by the subcommand's own --help.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (`sys.argv` if no arguments are given) and return the exit code.

    Raises:
        SystemExit: after --help and --version (0), and where the arguments cannot be understood (2).

    """
    parsed = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        exit_code = run(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read has had enough (`| head`). Python flushes once more at its end, and must find a place for it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OUTPUT_CLOSED
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agent-outcomes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
    for add in (add_doctor, add_explain, add_ledger, add_serve, add_keys):
        add(subparsers)
    return parser
