# SPDX-License-Identifier: Apache-2.0
"""Strip captured OTLP JSON of what no rule reads: message texts, schemas, hosts, paths, most of resources.

`python -m tests.tools.strip_captures FROM TO` writes TO/<stack>/<scenario>.json for every FROM/<stack>/<scenario>.json.
Ids, flags, times, scopes, marks, usage, costs, errors and status texts stay as they were.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

TEXT_LENGTH_MAX: Final = 300
RESOURCE_KEYS: Final = frozenset({"service.name", "service.instance.id", "telemetry.sdk.language"})
# By the ends of their names, what was said, asked and answered.
_SAID: Final = re.compile(
    r"(?:messages?|prompts?|completion|content|text|input|output|inputs|outputs|instructions?|arguments|result|results"
    r"|definitions|tools|schema|args|parameters|body|description|response|request|spanInputs|spanOutputs|value"
    r"|tool_response|tool_call_args|mime_type|llm_request|llm_response|event_data|data|kwargs|toolCalls|state|template|history)$",
    re.IGNORECASE,
)
_NUMBERED: Final = re.compile(r"\.(?:input|output)_messages\.|\.messages?\.|prompts?\.\d|completions?\.\d|\.tools\.\d")
_PLACES: Final = re.compile(
    r"^(?:server|client|net|network|host|url|process|thread|code|user_agent|peer)\.|(?:^|\.)(?:http\.url|api_base|uri"
    r"|endpoint|user-agent|LANGSMITH_\w+)$"
)
# Long or said, and yet read by a rule.
_READ: Final = re.compile(
    r"^metadata$|exception\.(?:type|message|stacktrace)$|status_code$|cost|usage|token|^mastra\.agent_run\.output$"
    r"|spanType$|^error\.|tool\.call\.result$|_pending_tools$",
    re.IGNORECASE,
)
_FOLDERS: Final = re.compile(r"(?:file://)?/(?:[\w.@+~-]+/)+|http://127\.0\.0\.1:\d+")
# Of a stack trace the lines that name no class: calls and code, also within those of exception groups.
_FRAMES: Final = re.compile(r"^(?:[ \t]+(?![|+\s])|[ \t]*\|[ \t]+(?:File \"|[ \t])).*\n?", re.MULTILINE)


def strip(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what no rule reads."""
    for resource_spans in document["resourceSpans"]:
        resource = resource_spans.get("resource", {})
        kept = [pair for pair in resource.get("attributes", ()) if pair["key"] in RESOURCE_KEYS]
        resource_spans["resource"] = {"attributes": kept}
        for scope_spans in resource_spans["scopeSpans"]:
            scope_spans["spans"] = [_stripped(span) for span in scope_spans["spans"]]
    return document


def _stripped(span: dict[str, Any]) -> dict[str, Any]:
    message = span.get("status", {}).get("message")
    if message is not None:
        span["status"]["message"] = _FOLDERS.sub("", message)
    gone = ("links", "droppedEventsCount", "droppedLinksCount", "traceState")
    kept = {key: value for key, value in span.items() if key not in gone}
    kept["attributes"] = [_short(pair) for pair in span.get("attributes", ()) if _is_read(pair)]
    if span.get("events"):
        kept["events"] = [
            {**event, "attributes": [_short(pair) for pair in event.get("attributes", ()) if _is_read(pair)]}
            for event in span["events"]
        ]
    return kept


def _is_read(pair: dict[str, Any]) -> bool:
    key, value = pair["key"], pair.get("value", {})
    if _PLACES.search(key):
        return False
    if _READ.search(key):
        return True
    text = value.get("stringValue")
    is_said = _SAID.search(key) is not None and not isinstance(value.get("intValue"), str)
    return not is_said and not _NUMBERED.search(key) and (text is None or len(text) <= TEXT_LENGTH_MAX)


def _short(pair: dict[str, Any]) -> dict[str, Any]:
    text = pair.get("value", {}).get("stringValue")
    if text is not None and pair["key"].endswith("stacktrace"):
        text = _FRAMES.sub("", text)
    return pair if text is None else {**pair, "value": {"stringValue": _FOLDERS.sub("", text)}}


def main(source: Path, target: Path) -> None:
    """Strip every capture below a folder."""
    for path in sorted(source.glob("*/*.json")):
        lines = [json.loads(line) for line in _documents(path.read_text(encoding="utf-8"))]
        there = target / path.relative_to(source)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text("".join(f"{json.dumps(strip(line), separators=(',', ':'))}\n" for line in lines))


def _documents(text: str) -> list[str]:
    try:
        json.loads(text)
    except ValueError:
        return [line for line in text.splitlines() if line.strip()]
    return [text]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
