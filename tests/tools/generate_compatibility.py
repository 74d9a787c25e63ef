# SPDX-License-Identifier: Apache-2.0
"""Write the table of `examples/frameworks.md` from what the frameworks' scenarios showed.

With `--check` nothing is written: the exit code is 1 if the table has drifted from the results.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.frameworks.expectations import HERE, frameworks
from tests.frameworks.observation import Observation
from tests.frameworks.scenarios import RIGHT, TITLES, Scenario

if TYPE_CHECKING:
    from tests.frameworks.expectations import ExpectedCell, Framework

PATH: Final = Path("examples/frameworks.md")
MARKED: Final = re.compile(r"(?<=<!-- generated:frameworks -->\n).*?(?=<!-- /generated:frameworks -->)", re.DOTALL)
RIGHT_MARK: Final = "✓"
LEFT_OUT_MARK: Final = "-"
FAULT_MARK: Final = "✗"
NAMES_MIN: Final = 3


class ResultsError(ValueError):
    """The results are not those of the cells that are expected, so that no table can be made from them."""


@dataclass(slots=True)
class Notes:
    """Footnotes in the order in which the table needs them, each text once."""

    texts: list[str] = field(default_factory=list)

    def number(self, why: str, remedy: str | None = None) -> int:
        """The number of the footnote that says why, and what helps."""
        text = _sentence(why) if remedy is None else f"{_sentence(why)} Remedy: {_sentence(remedy)}"
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def _sentence(text: str) -> str:
    return f"{text.strip().removesuffix('.')}."


def table(found: tuple[Framework, ...]) -> str:
    """The table and its footnotes, as Markdown."""
    notes = Notes()
    head = ["framework", "spans", *(TITLES[scenario] for scenario in Scenario), "cost"]
    rows = [_row(framework, notes) for framework in found]
    lines = [head, ["---"] * len(head), *rows]
    numbered = [f"{number}. {text}" for number, text in enumerate(notes.texts, 1)]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *numbered, "", ""])


def _row(framework: Framework, notes: Notes) -> list[str]:
    results = _results(framework)
    versions: dict[str, str] = results["versions"]
    (own, *others) = versions.values()
    spans = framework.spans
    if others and not spans.startswith("native"):
        spans = f"{spans} {others[0]}"
    if framework.note is not None:
        spans = f"{spans}, note {notes.number(framework.note)}"
    cells = [_cell(framework.cells[scenario], scenario, results, notes) for scenario in Scenario]
    cost = RIGHT_MARK if framework.cost_note is None else str(notes.number(framework.cost_note))
    return [f"{framework.title} {own}", spans, *cells, cost]


def _cell(cell: ExpectedCell, scenario: Scenario, results: dict[str, Any], notes: Notes) -> str:
    name = scenario.value
    if cell.observation is None:
        return f"{LEFT_OUT_MARK} {notes.number(cell.footnote or '')}"
    seen = Observation.from_json(results["cells"][name])
    if seen != cell.observation:
        return FAULT_MARK
    if seen.is_right(RIGHT[scenario]):
        return RIGHT_MARK
    if cell.remedy is not None:
        remedied = Observation.from_json(results["remedies"][name])
        if not remedied.is_right(RIGHT[scenario], lacks_tokens=cell.remedy_lacks_tokens):
            msg = f"{name}: the remedy does not help: {results['remedies'][name]}"
            raise ResultsError(msg)
    return str(notes.number(cell.footnote or "", cell.remedy))


def _results(framework: Framework) -> dict[str, Any]:
    path = HERE / "results" / f"{framework.id}.json"
    if not path.exists():
        msg = f"{path} is missing: run `make frameworks FRAMEWORKS_ARGS=--write-results`"
        raise ResultsError(msg)
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if len(set(results["names"])) < NAMES_MIN:
        msg = f"{path}: seen with the names {results['names']}, which are too few to say that none matters"
        raise ResultsError(msg)
    present = {scenario.value for scenario, cell in framework.cells.items() if cell.observation is not None}
    if present != set(results["cells"]):
        msg = f"{path} has other cells than those that are expected: {sorted(present ^ set(results['cells']))}"
        raise ResultsError(msg)
    return results


def main() -> int:
    """Write the table, or with `--check` say whether it has drifted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check = parser.parse_args().check
    text = PATH.read_text(encoding="utf-8")
    written = table(frameworks())
    renewed = MARKED.sub(lambda _: written, text)
    if check and renewed != text:
        sys.stderr.write(f"{PATH} has drifted: run `make generate`\n")
        return 1
    PATH.write_text(renewed, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
