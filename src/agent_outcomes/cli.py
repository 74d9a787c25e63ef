# SPDX-License-Identifier: Apache-2.0
"""The command `agent-outcomes`: each subcommand lives in a module of its own, which adds its parser here.

Only that of the subcommand which is asked for is imported: `doctor` has need of every exporter, `ledger` of none.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from agent_outcomes._version import __version__
from agent_outcomes.standard_streams import OutputFailed, watched_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# EX_IOERR of sysexits(3), which no subcommand has for anything else.
EXIT_OUTPUT_FAILED: Final = 74
EXIT_INTERRUPTED: Final = 130
EXIT_OUTPUT_CLOSED: Final = 141

# The module and the function in it that adds the subcommand's parser, in the order of --help.
_SUBCOMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "doctor": ("agent_outcomes.doctor", "add_doctor"),
    "explain": ("agent_outcomes.explain.command", "add_explain"),
    "ledger": ("agent_outcomes.ledger_command.parser", "add_ledger"),
    "serve": ("agent_outcomes.gateway_command.parser", "add_serve"),
    "keys": ("agent_outcomes.gateway_command.parser", "add_keys"),
}

_DESCRIPTION: Final = "Typed outcomes of agent runs as OpenTelemetry events and metrics."
_EPILOG: Final = """\
examples:
  agent-outcomes doctor                    check the settings and what receives your telemetry
  agent-outcomes doctor -- python app.py   check the application itself as well
  agent-outcomes explain traces.json       say for each run in exported spans which rule decided what
  agent-outcomes ledger status             say how much a ledger has accepted and delivered
  agent-outcomes serve                     take spans of agents in any language; show their outcomes on a page

exit codes: 0 all well, 2 the command line cannot be understood, 74 standard output cannot be written,
130 interrupted, 141 the output was closed by its reader; further ones are listed by the subcommand's
own --help.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (`sys.argv` if no arguments are given) and return the exit code.

    Raises:
        SystemExit: after --help and --version (0), and where the arguments cannot be understood (2).

    """
    given = sys.argv[1:] if arguments is None else arguments
    with watched_streams():
        try:
            return _run(given)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            # Whoever read has had enough (`| head`). Python flushes once more at its end, and must find a place for it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_OUTPUT_CLOSED
        except OutputFailed as failed:
            said = f"standard output cannot be written: {failed}; what the command has changed by then stays changed"
            print(said, file=sys.stderr)  # noqa: T201 - a command's words
            return EXIT_OUTPUT_FAILED


def _run(arguments: Sequence[str]) -> int:
    try:
        parsed = _parser(arguments).parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = parsed.run
        return run(parsed)
    finally:
        # Also what --help has said, which raises `SystemExit`.
        sys.stdout.flush()


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the subcommand that comes first; of all of them, where none is named."""
    parser = argparse.ArgumentParser(
        prog="agent-outcomes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
    for name in [name for name in _SUBCOMMANDS if name in arguments[:1]] or _SUBCOMMANDS:
        module, add = _SUBCOMMANDS[name]
        getattr(import_module(module), add)(subparsers)
    return parser
