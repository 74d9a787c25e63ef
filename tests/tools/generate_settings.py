# SPDX-License-Identifier: Apache-2.0
"""Write the table of settings in `examples/settings.md` from the one in `settings.py`.

With `--check` nothing is written: the exit code is 1 if the document has drifted from it.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent_outcomes.settings import TABLE

if TYPE_CHECKING:
    from agent_outcomes.settings import Setting

DOCUMENT: Final = Path("examples/settings.md")
MARKED: Final = re.compile(r"(?<=<!-- generated:settings -->\n).*?(?=<!-- /generated:settings -->)", re.DOTALL)


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


def with_table(document: str) -> str:
    """The document with the table between its marks."""
    return MARKED.sub(lambda _: table(), document)


def main() -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the table has drifted")
    check: bool = parser.parse_args().check
    document = DOCUMENT.read_text(encoding="utf-8")
    written = with_table(document)
    if check and written != document:
        sys.stderr.write(f"{DOCUMENT} has drifted from the settings: run python -m tests.tools.generate_settings\n")
        return 1
    if not check:
        DOCUMENT.write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
