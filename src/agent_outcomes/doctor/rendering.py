# SPDX-License-Identifier: Apache-2.0
"""A report as text for people and as JSON for programs. Pure."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Final

from agent_outcomes._version import __version__
from agent_outcomes.doctor.findings import EXIT_CODES, Layer

if TYPE_CHECKING:
    from agent_outcomes.doctor.findings import Finding, Report

WIDTH: Final = 120
_LAYER_WIDTH: Final = max(map(len, Layer)) + 2
_STATE_WIDTH: Final = len("skipped") + 2
_INDENT: Final = "  "


def as_text(report: Report) -> str:
    """One line per finding, then what is broken first: seen, why, fix."""
    lines = [_line(finding) for finding in report.findings]
    broken = report.broken
    if broken is None:
        return "\n".join([*lines, "", "No broken layer found."])
    head = f"Broken: {broken.layer} (exit code {EXIT_CODES[broken.layer]})"
    parts = (("Seen", broken.seen), ("Why", broken.why), ("Fix", broken.fix))
    return "\n".join([*lines, "", head, *(_paragraph(title, text) for title, text in parts if text)])


def as_json(report: Report) -> str:
    """The report as one JSON object."""
    broken = report.broken
    document = {
        "agent_outcomes": __version__,
        "exit_code": report.exit_code,
        "broken": None if broken is None else broken.layer.value,
        "layers": [
            {
                "layer": finding.layer.value,
                "state": finding.state.value.lower(),
                "exit_code": EXIT_CODES[finding.layer],
                "seen": finding.seen,
                "why": finding.why,
                "fix": finding.fix,
                "variable": finding.variable,
                "value": finding.value,
            }
            for finding in report.findings
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _line(finding: Finding) -> str:
    first, *_ = finding.seen.splitlines() or [""]
    return f"{finding.layer:<{_LAYER_WIDTH}}{finding.state:<{_STATE_WIDTH}}{first}".rstrip()


def _paragraph(title: str, text: str) -> str:
    """Prose is wrapped; lines that begin with a blank are code, to be copied as they are."""
    margin = " " * (len(_INDENT) + len("Seen: "))
    lines: list[str] = []
    for line in text.splitlines():
        is_code = line.startswith(" ")
        lines += [line] if is_code else textwrap.wrap(line, WIDTH - len(margin), break_long_words=False)
    return textwrap.indent("\n".join(lines), margin).replace(margin, f"{_INDENT}{title + ':':<6}", 1)
