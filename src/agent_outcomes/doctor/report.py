# SPDX-License-Identifier: Apache-2.0
"""All findings together: the first broken layer, its exit code, and the report as text and as JSON. Pure."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from agent_outcomes._version import __version__
from agent_outcomes.doctor.findings import EXIT_CODES, Layer, LayerState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent_outcomes.doctor.findings import LayerFinding

WIDTH: Final = 120
_STATE_WIDTH: Final = len("skipped") + 2
_INDENT: Final = "  "


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding or more per layer, in the order of the layers; as text, it is what the command prints."""

    findings: tuple[LayerFinding, ...]

    @property
    def broken(self) -> LayerFinding | None:
        """The finding of the first broken layer; `None` where all is well."""
        return next((finding for finding in self.findings if finding.state is LayerState.FAIL), None)

    @property
    def exit_code(self) -> int:
        """0, or the first broken layer's."""
        broken = self.broken
        return 0 if broken is None else EXIT_CODES[broken.layer]

    def __str__(self) -> str:
        """One line per finding, or per layers skipped for one reason; then what is broken first: seen, why, fix."""
        rows = list(_rows(self.findings))
        width = max((len(name) for name, _ in rows), default=0) + 2
        lines = [_line(f"{name:<{width}}", finding) for name, finding in rows]
        broken = self.broken
        if broken is None:
            return "\n".join([*lines, "", "No broken layer found."])
        head = f"Broken: {broken.layer} (exit code {EXIT_CODES[broken.layer]})"
        parts = (("Seen", broken.seen), ("Why", broken.why), ("Fix", broken.fix))
        return "\n".join([*lines, "", head, *(_paragraph(title, text) for title, text in parts if text)])


def report_of(findings: Iterable[LayerFinding]) -> Diagnosis:
    """The findings in the order of the layers."""
    order = list(Layer)
    return Diagnosis(tuple(sorted(findings, key=lambda finding: order.index(finding.layer))))


def as_json(report: Diagnosis) -> str:
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
    return json.dumps(document, indent=2)


def _rows(findings: Iterable[LayerFinding]) -> Iterator[tuple[str, LayerFinding]]:
    def reason(numbered: tuple[int, LayerFinding]) -> str | int:
        number, finding = numbered
        return finding.seen if finding.state is LayerState.SKIPPED else number

    for _, group in groupby(enumerate(findings), key=reason):
        (_, first), *others = group
        yield (f"{first.layer} to {others[-1][1].layer}" if others else first.layer), first


def _line(name: str, finding: LayerFinding) -> str:
    first, *_ = finding.seen.splitlines() or [""]
    line = f"{name}{finding.state:<{_STATE_WIDTH}}{first}".rstrip()
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def _paragraph(title: str, text: str) -> str:
    """Prose is wrapped; lines that begin with a blank are code, to be copied as they are."""
    margin = " " * (len(_INDENT) + len("Seen: "))
    lines: list[str] = []
    for line in text.splitlines():
        is_code = line.startswith(" ")
        lines += [line] if is_code else textwrap.wrap(line, WIDTH - len(margin), break_long_words=False)
    return textwrap.indent("\n".join(lines), margin).replace(margin, f"{_INDENT}{title + ':':<6}", 1)
