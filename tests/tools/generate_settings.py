# SPDX-License-Identifier: Apache-2.0
"""Write the tables of settings in documents from those in code: the processor's, and the gateway's flags.

With `--check` nothing is written: the exit code is 1 if a document has drifted.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent_outcomes.gateway_command.flags import FLAGS
from agent_outcomes.settings import TABLE

if TYPE_CHECKING:
    from agent_outcomes.gateway_command.flags import Flag
    from agent_outcomes.settings import Setting

DOCUMENT: Final = Path("examples/settings.md")
GATEWAY_DOCUMENT: Final = Path("collector-config/gateway/README.md")
MARKED: Final = re.compile(r"(?<=<!-- generated:settings -->\n).*?(?=<!-- /generated:settings -->)", re.DOTALL)
FLAGS_MARKED: Final = re.compile(r"(?<=<!-- generated:flags -->\n).*?(?=<!-- /generated:flags -->)", re.DOTALL)


def table() -> str:
    """The table, as Markdown."""
    lines = ["| argument | variable | default | |", "|---|---|---|---|", *map(_row, TABLE)]
    return "".join(f"{line}\n" for line in lines)


def _row(setting: Setting) -> str:
    cells = (f"`{setting.name}`", f"`{setting.variable}`", _default(setting), setting.sentence)
    return f"| {' | '.join(cells)} |"


def _default(setting: Setting) -> str:
    if isinstance(setting.default, float):
        return f"{setting.default:g} (off)" if not setting.default else f"{setting.default:g}"
    return str(setting.default).lower()


def flags_table() -> str:
    """The table of the gateway's flags, as Markdown."""
    lines = ["| option | variable | default | |", "|---|---|---|---|", *map(_flag_row, FLAGS)]
    return "".join(f"{line}\n" for line in lines)


def _flag_row(flag: Flag) -> str:
    cells = (f"`{flag.option} {flag.metavar}`", f"`{flag.variable}`", flag.default, flag.sentence)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def with_table(document: str) -> str:
    """The document with the tables between their marks."""
    return FLAGS_MARKED.sub(lambda _: flags_table(), MARKED.sub(lambda _: table(), document))


def main() -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a table has drifted")
    check: bool = parser.parse_args().check
    drifted = [path for path in (DOCUMENT, GATEWAY_DOCUMENT) if not _written(path, check=check)]
    for path in drifted:
        sys.stderr.write(f"{path} has drifted from the settings: run python -m tests.tools.generate_settings\n")
    return 1 if drifted else 0


def _written(path: Path, *, check: bool) -> bool:
    """Write a document anew, or with `check` only look: whether it is now as it should be."""
    document = path.read_text(encoding="utf-8")
    written = with_table(document)
    if check:
        return written == document
    path.write_text(written, encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(main())
