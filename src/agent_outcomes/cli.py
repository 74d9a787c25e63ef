# SPDX-License-Identifier: Apache-2.0
"""The command `agent-outcomes`: each subcommand lives in a module of its own, which adds its parser here."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from agent_outcomes import doctor, explain
from agent_outcomes._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_INTERRUPTED: Final = 130

_DESCRIPTION: Final = "Typed outcomes of agent runs as OpenTelemetry events and metrics."
_EPILOG: Final = """\
examples:
  agent-outcomes doctor                    check the settings and what receives your telemetry
  agent-outcomes doctor -- python app.py   check the application itself as well
  agent-outcomes explain traces.jsonl      say for each run in exported spans which rule decided what

exit codes: 0 all well, 2 the command line cannot be understood, 130 interrupted; further ones are
listed by the subcommand's own --help.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (`sys.argv` if no arguments are given) and return the exit code.

    Raises:
        SystemExit: after --help and --version (0), and where the arguments cannot be understood (2).

    """
    parsed = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agent-outcomes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
    for subcommand in (doctor, explain):
        subcommand.add_parser(subparsers)
    return parser
