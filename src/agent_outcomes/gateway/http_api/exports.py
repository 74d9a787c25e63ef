# SPDX-License-Identifier: Apache-2.0
"""The history of the ledger as a stream, page by page: however slow its reader is, no thread waits for it."""

from __future__ import annotations

import io
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.responses import StreamingResponse

from agent_outcomes.gateway.http_api.queries import ExportQuery, agent_asked_for, range_ns, read_query
from agent_outcomes.ledger.exporting import exported, exported_pause, write_csv, write_jsonl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.responses import Response

    from agent_outcomes.gateway.http_api.operations import ApiCall
    from agent_outcomes.ledger.exporting import Exported
    from agent_outcomes.ledger.store import Store

EXPORT_PAGE_ROWS: Final = 500
CSV: Final = "text/csv; charset=utf-8"
JSON_LINES: Final = "application/jsonl"
EXPORT_MEDIA_TYPES: Final[Mapping[str, str]] = {"csv": CSV, "jsonl": JSON_LINES}
"""The media type of each form of the export."""


class _Wanted(NamedTuple):
    """Which revisions, and in which form."""

    form: str
    agents: frozenset[str] | None
    since_ns: int | None
    until_ns: int | None


class _Place(NamedTuple):
    """How far the export is: after which row, of revisions first and then of pauses."""

    after_id: int = 0
    is_in_pauses: bool = False


class _Page(NamedTuple):
    """Some rows as bytes, and where to go on; `None` if there are no more."""

    content: bytes
    next: _Place | None


async def export_history(call: ApiCall) -> Response:
    """`GET /v1/export`: all revisions and pauses, as `agent-outcomes ledger export` writes them."""
    query = read_query(call.request.query_params, ExportQuery)
    since_ns, end_ns = range_ns(query.since, query.until, call.context.now_ns())
    agent = agent_asked_for(call.caller, query.agent)
    agents = call.caller.agents if agent is None else frozenset({agent})
    wanted = _Wanted(query.format, agents, since_ns, end_ns)
    first = await call.context.run_blocking(partial(_page, call.context.store, wanted, _Place()))
    name = f"agent-outcomes.{query.format}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_pages(call, wanted, first), 200, headers, EXPORT_MEDIA_TYPES[query.format])


async def _pages(call: ApiCall, wanted: _Wanted, first: _Page) -> AsyncIterator[bytes]:
    page = first
    while True:
        yield page.content
        if page.next is None:
            return
        page = await call.context.run_blocking(partial(_page, call.context.store, wanted, page.next))


def _page(store: Store, wanted: _Wanted, place: _Place) -> _Page:
    last_id, table = _rows_at(store, wanted, place)
    own = (row for row in table if wanted.agents is None or row["agent_name"] in wanted.agents)
    out = io.BytesIO()
    (write_csv if wanted.form == "csv" else write_jsonl)(own, out, _tell_nobody)
    content = out.getvalue()
    if wanted.form == "csv" and place != _Place():
        content = content.partition(b"\r\n")[2]  # the header
    if last_id is not None:
        return _Page(content, place._replace(after_id=last_id))
    return _Page(content, None if place.is_in_pauses else _Place(is_in_pauses=True))


def _rows_at(store: Store, wanted: _Wanted, place: _Place) -> tuple[int | None, list[Exported]]:
    """The rows of one page, and the id of the last of them if more may follow."""
    if place.is_in_pauses:
        pauses = store.pauses(wanted.since_ns, wanted.until_ns, after_id=place.after_id)
        found = [(row.id, exported_pause(row)) for row in islice(pauses, EXPORT_PAGE_ROWS)]
    else:
        revisions = store.revisions(wanted.since_ns, wanted.until_ns, after_id=place.after_id)
        found = [(row.id, exported(row)) for row in islice(revisions, EXPORT_PAGE_ROWS)]
    return found[-1][0] if len(found) == EXPORT_PAGE_ROWS else None, [row for _, row in found]


def _tell_nobody(count: int) -> None:
    del count
