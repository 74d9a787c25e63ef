# SPDX-License-Identifier: Apache-2.0
"""An acceptance as one line of a spool file, with a checksum, and back again, exactly."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.ledger.book.accepted import Acceptance, LaterRevision, ResourceFacts
from agent_outcomes.ledger.book.content import (
    Content,
    ContentError,
    canonical,
    encode_content,
    int_of,
    json_int,
    json_text,
    maybe,
    read_content,
    text_of,
)
from agent_outcomes.record.pauses import used_part_of
from agent_outcomes.record.record import Event, record
from agent_outcomes.semconv import Change, CostKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.outcome.model import Outcome
    from agent_outcomes.record.record import AttributeValue
    from agent_outcomes.run.model import Run

LINE_VERSION: Final = 1
TOLD_VERSION: Final = 2
"""Of a line of what was told, which a program that knows nothing of that must not take for its own to deliver."""


class LineError(ValueError):
    """A line that was cut short, changed, or written by another version."""


def encode_line(acceptance: Acceptance) -> bytes:
    """The acceptance in ASCII, its checksum before it and a line feed after it."""
    resource = acceptance.resource
    text = canonical(
        {
            "v": TOLD_VERSION if acceptance.told else LINE_VERSION,
            "first": _content(acceptance.run, acceptance.outcome),
            "revised": None if acceptance.revised is None else _content(acceptance.run, acceptance.revised),
            "paused": acceptance.paused or None,
            "later": None if acceptance.later is None else _later(acceptance.later),
            "further": [_event(event) for event in acceptance.further_events] or None,
            "service": [json_text(name) for name in resource[:3]],
            "resource": _pairs(resource.attributes),
        }
    )
    return b"%08x %b\n" % (zlib.crc32(text), text)


def decode_line(line: bytes) -> Acceptance:
    """What `encode_line` was given. Raises `LineError` for what is no such line."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        message = "its checksum is wrong"
        raise LineError(message)
    try:
        fields = json.loads(text)
        if fields["v"] in {LINE_VERSION, TOLD_VERSION}:
            return _acceptance(fields)
    except (ContentError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = "it is no acceptance"
        raise LineError(message) from error
    message = f"it is of version {fields['v']!r:.20}; this program reads up to {TOLD_VERSION}"
    raise LineError(message)


def _acceptance(fields: Mapping[str, Any]) -> Acceptance:
    first = _read(fields["first"])
    made = record(first.run, first.outcome)
    is_paused = fields.get("paused", False)
    name, namespace, environment = map(text_of, fields["service"])
    revised = fields.get("revised")
    return Acceptance(
        first.run,
        first.outcome,
        used_part_of(made) if is_paused else made,
        tuple(_read_event(event) for event in fields.get("further", ())),
        ResourceFacts(name, namespace, environment, tuple(_read_pairs(fields["resource"]))),
        is_paused,
        None if revised is None else _read(revised).outcome,
        fields["v"] == TOLD_VERSION,
        maybe(_read_later, fields.get("later")),
    )


def _later(later: LaterRevision) -> list[object]:
    names = json_text(later.reported_by), json_text(later.reason)
    return [later.revision, later.change, json_int(later.reported_ns), *names, later.cost_kind]


def _read_later(fields: list[Any]) -> LaterRevision:
    revision, change, reported_ns, reported_by, reason, kind = fields
    names = text_of(reported_by), text_of(reason)
    return LaterRevision(revision, Change(change), int_of(reported_ns), *names, maybe(CostKind, kind))


def _content(run: Run, outcome: Outcome) -> str:
    # The postings follow from both.
    return encode_content(Content(run, outcome, 0, None, run.end_ns, None, None, ())).decode()


def _read(text: str) -> Content:
    return read_content(text.encode())


def _event(event: Event) -> list[object]:
    return [
        f"{event.trace_id:x}",
        f"{event.span_id:x}",
        event.trace_flags,
        json_int(event.timestamp_ns),
        event.severity,
        json_text(event.body),
        _pairs(tuple(event.attributes.items())),
        json_text(event.name),
    ]


def _read_event(fields: list[Any]) -> Event:
    trace_id, span_id, trace_flags, timestamp_ns, severity, body, attributes, name = fields
    number, word = severity
    return Event(
        int(trace_id, 16),
        int(span_id, 16),
        trace_flags,
        int_of(timestamp_ns),
        (number, word),
        text_of(body),
        dict(_read_pairs(attributes)),
        text_of(name),
    )


def _pairs(attributes: tuple[tuple[str, AttributeValue], ...]) -> list[list[object]]:
    return [[json_text(key), _plain(value)] for key, value in attributes]


def _plain(value: AttributeValue) -> object:
    match value:
        case str():
            return json_text(value)
        case int() if not isinstance(value, bool):
            return json_int(value)
        case tuple():
            return [_plain(one) for one in value]
        case _:
            return value


def _read_pairs(pairs: list[Any]) -> list[tuple[str, AttributeValue]]:
    return [(text_of(key), _read_value(value)) for key, value in pairs]


def _read_value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_read_value, value))
    if isinstance(value, dict):
        return int_of(value) if "hex" in value else text_of(value)
    return value
