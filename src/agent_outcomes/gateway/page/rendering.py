# SPDX-License-Identifier: Apache-2.0
"""Templates, and the headers that every page has.

Nothing that telemetry has put into a ledger reaches a browser as anything but text: all is escaped, and what would
break a line or hide is shown as in a Python literal.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from agent_outcomes.gateway.page import figures
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

SHOWN_LENGTH_MAX: Final = 20_000
_FOLDER: Final = Path(__file__).parent
_STATIC: Final = _FOLDER / "static"
STATIC_TYPES: Final[Mapping[str, str]] = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NOT_KEPT: Final = {**PAGE_HEADERS, "Cache-Control": "no-store"}
_KEPT: Final = {**PAGE_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}


class Renderer:
    """The templates of the page."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals["address"] = address
        self._environment.globals["static"] = _static_addresses()
        self._environment.filters["count"] = figures.grouped
        self._environment.filters["when"] = figures.utc_time
        self._environment.filters["machine_time"] = figures.machine_time
        self._environment.filters["age"] = figures.age
        self._environment.filters["lines"] = _lines

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """The answer that a template gives with these values."""
        text = self._environment.get_template(template).render(values)
        return HTMLResponse(text, status, headers=dict(_NOT_KEPT))


@cache
def _static_content(name: str) -> bytes:
    return (_STATIC / name).read_bytes()


def static_file(name: str) -> Response | None:
    """The answer with one of our static files; `None` for any other name."""
    media_type = STATIC_TYPES.get(name)
    if media_type is None:
        return None
    return Response(_static_content(name), headers={**_KEPT, "Content-Type": media_type})


def address(path: str, /, *parts: str, **query: str | None) -> str:
    """The address of a page: the path, further parts of it, and the parts of the query that are not empty."""
    whole = "/".join([path, *(quote(part, safe="", errors="replace") for part in parts)])
    given = {name.rstrip("_"): value for name, value in query.items() if value}
    return f"{whole}?{urlencode(given, errors='replace')}" if given else whole


def _static_addresses() -> Mapping[str, str]:
    # With what they contain in the address, so that a browser may keep them for good.
    return {name: f"/static/{name}?{hashlib.sha256(_static_content(name)).hexdigest()[:12]}" for name in STATIC_TYPES}


def _shown(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(value, SHOWN_LENGTH_MAX)
    return value


def _lines(text: str) -> list[str]:
    """A text of several lines, for a block that keeps them apart."""
    return text[:SHOWN_LENGTH_MAX].split("\n")
