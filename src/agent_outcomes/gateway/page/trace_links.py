# SPDX-License-Identifier: Apache-2.0
"""The link from a run to its trace in whatever viewer there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

TRACE_ID_FIELD: Final = "{trace_id}"
_LENGTH_MAX: Final = 2048
_FIX: Final = f"give a URL such as http://localhost:16686/trace/{TRACE_ID_FIELD}"


@dataclass(frozen=True, slots=True)
class TraceUrl:
    """Where traces are looked at; `template` has `{trace_id}` in place of the id."""

    template: str

    def of(self, outcome_id: str) -> str:
        """The address of the trace of the run with this outcome id."""
        return self.template.replace(TRACE_ID_FIELD, outcome_id.partition("-")[0])


def read_trace_url(text: str) -> TraceUrl:
    """The template that a text is. Raises `ValueError`, which says what it takes, for what is no link for a browser."""
    given = text.strip()
    if len(given) > _LENGTH_MAX or not given.isprintable() or " " in given:
        message = f"the trace URL has blanks or control characters, or is longer than {_LENGTH_MAX}; {_FIX}"
        raise ValueError(message)
    try:
        parts = urlsplit(given)
        host = parts.hostname
    except ValueError:
        message = f"the trace URL is no URL; {_FIX}"
        raise ValueError(message) from None
    if parts.scheme not in ("http", "https") or not host:
        message = f"the trace URL takes http or https and a host; {_FIX}"
        raise ValueError(message)
    if TRACE_ID_FIELD in parts.netloc or TRACE_ID_FIELD not in given:
        message = f"the trace URL lacks {TRACE_ID_FIELD} in its path, query or fragment; {_FIX}"
        raise ValueError(message)
    return TraceUrl(given)
