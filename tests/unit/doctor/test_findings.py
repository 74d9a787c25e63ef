# SPDX-License-Identifier: Apache-2.0
"""Findings hold text of others: receivers, programs, the environment. None of it acts on a shell or a terminal."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.doctor.environment import read_targets
from agent_outcomes.doctor.findings import Layer, export_line, failed, ok, skipped, unset_line
from agent_outcomes.doctor.report import as_json, report_of
from agent_outcomes.doctor.sending import ProbeAnswer, cleaned
from agent_outcomes.doctor.verdicts import refused
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

    from agent_outcomes.doctor.findings import LayerFinding

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
SHELL_TEXT = st.text("a$`'\";&|()<>\\\n\r\t\x1b\u2028 !*{}~#", max_size=30)
HOST = "127.0.0.1"
SHELL_INJECTIONS = [
    "http://x/$(touch hit)",
    "http://x/`touch hit`",
    "http://x/'; touch hit; '",
    'http://x/"; touch hit; "',
    "http://x/\ntouch hit",
    "x & touch hit",
]


def exports(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("export ")]


def redirected(location: str, endpoint: str = f"http://{HOST}:4318") -> LayerFinding:
    """What is said of a receiver at `endpoint` that answers 302 with this Location."""
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    target = read_targets(environ).targets[0]
    answer = cleaned(ProbeAnswer(http_status=302, location=location), target)
    return refused(target, answer, set(), {target.signal})


@given(value=ANY_TEXT | SHELL_TEXT)
def test_a_line_to_paste_sets_the_variable_and_nothing_else(value: str) -> None:
    """To a shell it is two words, whatever the value holds."""
    line = export_line("OTEL_EXPORTER_OTLP_ENDPOINT", value)
    assert line.isprintable()
    assert shlex.split(line) == ["export", f"OTEL_EXPORTER_OTLP_ENDPOINT={printable(value)}"]
    assert shlex.split(unset_line(value)) == ["unset", printable(value)]


@pytest.mark.parametrize("value", SHELL_INJECTIONS)
def test_a_pasted_line_runs_no_command(value: str, tmp_path: Path) -> None:
    """Tried in a real shell, with a value and with a name; the value arrives as it is shown."""
    for line in (export_line("A", value), export_line(value, "1"), unset_line(value)):
        done = subprocess.run(
            ["/bin/sh", "-c", f'{line}\nprintf %s "$A"'], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert list(tmp_path.iterdir()) == []
        assert done.stdout == (printable(value) if "export A" in line else "")


@given(seen=ANY_TEXT, within=ANY_TEXT, value=ANY_TEXT)
def test_a_report_shows_text_of_others_on_the_lines_it_was_put_in(seen: str, within: str, value: str) -> None:
    """As text and as JSON nothing but printable characters and the report's own line ends."""
    fix = f"Write:\n{export_line('A', value)}"
    findings = [
        failed(Layer.DNS, seen, why="Why.", fix=fix, variable=within, value=value),
        ok(Layer.TLS, within),
        skipped(Layer.PATH, seen),
    ]
    report = report_of(findings)
    for line in str(report).split("\n"):
        assert line.isprintable()
    assert len(exports(str(report))) == 1
    assert all(line.isprintable() and line.isascii() for line in as_json(report).split("\n"))


@given(
    location=ANY_TEXT
    | SHELL_TEXT
    | st.builds("{}{}{}".format, st.sampled_from(["http://", "//", "/", f"http://{HOST}"]), SHELL_TEXT, ANY_TEXT)
)
def test_no_redirect_makes_a_line_for_another_host(location: str) -> None:
    """Any Location: a line to paste leads to the host that is configured, and no text is long or moves a cursor."""
    finding = redirected(location)
    assert len(finding.seen) < 500
    assert finding.seen.isprintable()
    assert len(finding.fix) < 500
    for line in exports(finding.fix):
        address = shlex.split(line)[1].removeprefix("OTEL_EXPORTER_OTLP_ENDPOINT=")
        assert address == (finding.value or "https://THE-FINAL-ADDRESS")
        assert finding.value is None or urlsplit(finding.value).hostname == HOST


@pytest.mark.parametrize(
    ("location", "endpoint", "value"),
    [
        (f"http://{HOST}:4318/otlp/v1/traces", f"http://{HOST}:4318", f"http://{HOST}:4318/otlp"),
        (f"https://{HOST}/v1/traces", f"http://{HOST}:4318", f"https://{HOST}"),
        ("/otlp/v1/traces", f"http://user:pass-word@{HOST}:4318", f"http://{HOST}:4318/otlp"),
        ("http://evil.example/v1/traces", f"http://{HOST}:4318", None),
        (f"http://{HOST}.evil.example/v1/traces", f"http://{HOST}:4318", None),
        (f"http://{HOST}@evil.example/v1/traces", f"http://{HOST}:4318", None),
        (f"http://{HOST}/v1/traces", f"https://{HOST}:4318", None),
        (f"http://{HOST}/$(id)", f"http://{HOST}:4318", None),
        ("/" + "x" * 60_000, f"http://{HOST}:4318", None),
        ("http://[::1", f"http://{HOST}:4318", None),
        ("javascript:alert(1)", f"http://{HOST}:4318", None),
    ],
)
def test_only_an_address_of_the_receivers_own_is_offered(location: str, endpoint: str, value: str | None) -> None:
    """The same host, no less secure, whole and plain; of any other is said where to ask."""
    finding = redirected(location, endpoint)
    assert finding.value == value
    assert exports(finding.fix) == ([] if value is None else [f"export OTEL_EXPORTER_OTLP_ENDPOINT={value}"])
    assert "pass-word" not in finding.seen
    assert ("Ask whoever runs" in finding.fix) is (value is None)
