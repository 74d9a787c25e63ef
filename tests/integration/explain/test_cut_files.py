# SPDX-License-Identifier: Apache-2.0
"""A file that is still being written, or whose writer was killed, is read as far as it goes, and that is said."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_outcomes.explain.reading import Export, SpansError, decoded, read_spans
from tests.exported import Sent, agent, chat

if TYPE_CHECKING:
    from pathlib import Path

SPANS: Final = [
    Sent(id=2, parent=1, attributes=chat(10), name='{"chat": [ün\u2028"} \\'),
    Sent(id=3, parent=1, attributes=chat(5)),
    Sent(id=1, attributes=agent("a"), end_us=9000),
]
LINES: Final = "".join(f"{span.line()}\n" for span in SPANS)
WHOLE: Final = json.dumps({
    "resourceSpans": [json.loads(span.line())["resourceSpans"][0] for span in SPANS]
})  # fmt: skip
PRETTY: Final = json.dumps(json.loads(WHOLE), indent=2, ensure_ascii=False)


def explain(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent_outcomes", "explain", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_file_cut_in_its_last_line(tmp_path: Path) -> None:
    """What is before is explained, the exit code is that of it, and standard error says where it breaks off."""
    path = tmp_path / "traces.json"
    path.write_text(LINES + SPANS[0].line()[:-30])
    done = explain(path, "--json")
    (run,) = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, run["attributes"]["agent.run.input_tokens"]) == (0, 15)
    assert done.stderr == f"{path}: line 4 breaks off; what comes before that is explained\n"
    assert explain(path).stderr == done.stderr


def test_a_whole_file_has_no_note(tmp_path: Path) -> None:
    """Nor has one whose last line lacks its end of line."""
    path = tmp_path / "traces.json"
    path.write_text(LINES.rstrip())
    assert explain(path).stderr == ""


def test_a_file_cut_within_a_character(tmp_path: Path) -> None:
    """Bytes that are no character yet are not read; bytes that can never be one are an error."""
    path = tmp_path / "traces.json"
    text = PRETTY.encode()
    path.write_bytes(text[: text.index("ü".encode()) + 1])
    done = explain(path)
    assert (done.returncode, done.stderr) == (
        2,
        f"{path}: line 1 breaks off, and there is no whole span before that\n",
    )
    path.write_bytes(LINES.encode() + b"\xff{")
    assert explain(path).returncode == 2


def test_a_mark_of_byte_order_is_no_text() -> None:
    """As editors of some systems write it."""
    assert len(read_spans(decoded(b"\xef\xbb\xbf" + WHOLE.encode())).spans) == 3


@settings(deadline=None)
@given(st.sampled_from([WHOLE, PRETTY, LINES]).flatmap(lambda t: st.tuples(st.just(t), st.integers(1, len(t)))))
def test_cut_anywhere(cut: tuple[str, int]) -> None:
    """Every whole span before the place is read and none that is not, however the text is laid out."""
    text, length = cut
    whole = {each.id[1]: each.span.attributes for each in read_spans(text).spans}
    export = read_or_refused(text[:length])
    if isinstance(export, str):
        assert "breaks off" in export
        assert text[:length].count("endTimeUnixNano") <= 1
        return
    found = {each.id[1]: each.span.attributes for each in export.spans}
    assert list(found) == list(whole)[: len(found)]
    assert len(found) >= text[:length].count("endTimeUnixNano") - 1
    assert all(whole[number] == attributes for number, attributes in found.items())
    assert export.cut_line is not None or text[length:].strip() == "" or text[length:].lstrip().startswith("{")


def read_or_refused(text: str) -> Export | str:
    try:
        return read_spans(text)
    except SpansError as error:
        return str(error)


@pytest.mark.parametrize(
    "text",
    [
        LINES + SPANS[0].line()[:-30] + "\n" + SPANS[1].line(),
        LINES + "}",
        LINES + '{"resourceSpans": ]',
        LINES + '{"resourceSpans": nonsense',
        LINES + "nonsense",
        LINES + '{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}, {',
    ],
)
def test_what_is_wrong_in_another_way_is_an_error(text: str) -> None:
    """A line that is cut in the middle of a file, and what no writer can have begun."""
    with pytest.raises(SpansError, match="line 4 is not OTLP JSON"):
        read_spans(text)
