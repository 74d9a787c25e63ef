# SPDX-License-Identifier: Apache-2.0
"""The documents: their programs print what stands below them, and their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from tests.integration.test_examples import EXAMPLES, ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS: Final = ("decisions.md", "sampling_and_forks.md")
EXPECTED_BLOCK: Final = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)
LINK: Final = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
DOCUMENTS: Final = sorted(
    path.relative_to(ROOT)
    for folder in (ROOT, ROOT / "src", ROOT / "examples", ROOT / "collector-config")
    for path in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
    if "node_modules" not in path.parts
)
REFUSED: Final = "was not taken as stated"
README_LINES_MAX: Final = 175
WIDTH_OF_A_PICTURE_MAX: Final = 100


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_document_s_program_prints_what_stands_below_each_part(name: str) -> None:
    """Its Python blocks run as one program, warnings as errors; each prints the text block after it, or nothing."""
    blocks = EXPECTED_BLOCK.findall((EXAMPLES / name).read_text(encoding="utf-8"))
    ends = [f"--- end of block {number} ---" for number in range(len(blocks))]
    program = "\n".join(f"{code}\nprint({end!r}, flush=True)" for (code, _), end in zip(blocks, ends, strict=True))
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    expected = "".join(f"{printed}{end}\n" for (_, printed), end in zip(blocks, ends, strict=True))
    assert done.stdout == expected
    assert [line for line in done.stderr.splitlines() if REFUSED not in line] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_a_document_s_links_lead_somewhere(document: Path) -> None:
    """Each file that a link names exists, and each heading."""
    text = re.sub(r"```.*?```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [one or other for one, other in LINK.findall(text)]
    broken = [link for link in links if "://" not in link and not leads_somewhere(document, link)]
    assert broken == []


def leads_somewhere(document: Path, link: str) -> bool:
    name, _, heading = link.partition("#")
    target = (ROOT / document).parent / name if name else ROOT / document
    if not target.exists():
        return False
    return not heading or heading in headings(target.read_text(encoding="utf-8"))


def headings(text: str) -> set[str]:
    """The headings of a document as links name them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_s_ledger_takes_its_reports(tmp_path: Path) -> None:
    """The block on late verdicts is a program of its own; its run has not come, so both reports are held."""
    (block,) = re.findall(r"```py\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    environ = environment() | {"OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    program = f"from agent_outcomes import install\n{block}"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    store = Store.open(read_location(f"sqlite:///{tmp_path}/outcomes.db"), create=False)
    assert [row.reference for row in store.held()] == ["run_id:ticket-4711"] * 2
    store.close()


def test_the_readme_is_read_in_a_few_minutes() -> None:
    """Reference stands beside its source; the picture of the flow is text, which a package index shows as well."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= README_LINES_MAX
    (picture,) = re.findall(r"```text\n(.*?)```", text.split("\n## ")[0], re.DOTALL)
    assert picture.isascii()
    assert max(map(len, picture.splitlines())) <= WIDTH_OF_A_PICTURE_MAX


def test_the_readme_names_every_framework_that_is_run() -> None:
    """By the first word of the name it has in the table of frameworks."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \S+ \| ", (EXAMPLES / "frameworks.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows
    assert [name for name in rows if name.split()[0] not in readme] == []
