# SPDX-License-Identifier: Apache-2.0
"""The history of the ledger as a stream, page by page: however slow its reader is, no thread waits for it."""

from __future__ import annotations

import io
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.responses import StreamingResponse

from agent_outcomes.gateway.http_api.queries import ExportQuery, agent_asked_for, range_ns, read_query
from agent_outcomes.ledger.exporting import exported, write_csv, write_jsonl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.responses import Response

    from agent_outcomes.gateway.http_api.operations import ApiCall
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


class _Page(NamedTuple):
    """Some revisions as bytes, and the id of the last of them; `None` if there are no more."""

    content: bytes
    last_id: int | None


async def export_history(call: ApiCall) -> Response:
    """`GET /v1/export`: all revisions, as `agent-outcomes ledger export` writes them."""
    query = read_query(call.request.query_params, ExportQuery)
    since_ns, end_ns = range_ns(query.since, query.until, call.context.now_ns())
    agent = agent_asked_for(call.caller, query.agent)
    agents = call.caller.agents if agent is None else frozenset({agent})
    wanted = _Wanted(query.format, agents, since_ns, end_ns)
    first = await call.context.run_blocking(partial(_page, call.context.store, wanted, 0, is_first=True))
    name = f"agent-outcomes.{query.format}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_pages(call, wanted, first), 200, headers, EXPORT_MEDIA_TYPES[query.format])


async def _pages(call: ApiCall, wanted: _Wanted, first: _Page) -> AsyncIterator[bytes]:
    page = first
    while True:
        yield page.content
        if page.last_id is None:
            return
        page = await call.context.run_blocking(partial(_page, call.context.store, wanted, page.last_id, is_first=False))


def _page(store: Store, wanted: _Wanted, after_id: int, *, is_first: bool) -> _Page:
    rows = list(islice(store.revisions(wanted.since_ns, wanted.until_ns, after_id=after_id), EXPORT_PAGE_ROWS))
    table = (exported(row) for row in rows)
    own = (row for row in table if wanted.agents is None or row["agent_name"] in wanted.agents)
    out = io.BytesIO()
    (write_csv if wanted.form == "csv" else write_jsonl)(own, out, _tell_nobody)
    content = out.getvalue()
    if wanted.form == "csv" and not is_first:
        content = content.partition(b"\r\n")[2]  # the header
    return _Page(content, rows[-1].id if len(rows) == EXPORT_PAGE_ROWS else None)


def _tell_nobody(count: int) -> None:
    del count
