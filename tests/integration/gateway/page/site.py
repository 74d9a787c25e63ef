# SPDX-License-Identifier: Apache-2.0
"""The page on a real server, at a time of the tests' own, and a client that keeps cookies as a browser does."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
from starlette.applications import Starlette

from agent_outcomes.gateway.page.routes import create_page
from agent_outcomes.ledger.rows import RunFilter
from tests.acceptances import END_NS, NS
from tests.gateway_api import context_of, served
from tests.integration.gateway.page.page_reading import Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent_outcomes.ledger.rows import RunRow
    from agent_outcomes.ledger.store import Store

NOW_NS = END_NS + 3600 * NS
TRACE_URL = "http://traces.example/trace/{trace_id}"


class Visitor:
    """Somebody with a browser, who follows no redirect by themselves."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, trust_env=False, timeout=30)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """The answer to a look."""
        return self.client.get(path, headers=headers)

    def page(self, path: str) -> Page:
        """A page that there is."""
        response = self.get(path)
        assert response.status_code == 200, response.text
        return Page(response.text)

    def send(self, page: Page, action_end: str, fields: Mapping[str, str], **headers: str) -> httpx.Response:
        """The answer to a form of that page, sent with these fields in place of those that stand there."""
        form = page.form(action_end)
        return self.client.post(form.action, data={**form.fields, **fields}, headers=headers)

    def log_in(self, secret: str) -> httpx.Response:
        """The answer to a log-in with this key."""
        return self.send(self.page("/login"), "/login", {"key": secret})


@contextmanager
def site(store: Store, now_ns: int = NOW_NS, **settings: Any) -> Iterator[str]:
    """The URL of the page on that ledger."""
    with context_of(store, **{"trace_url": TRACE_URL, **settings}) as context:
        routes = create_page(replace(context, now_ns=lambda: now_ns))
        with served(Starlette(routes=routes)) as url:
            yield url


@contextmanager
def visited(store: Store, now_ns: int = NOW_NS, **settings: Any) -> Iterator[Visitor]:
    """A visitor of the page on that ledger."""
    with site(store, now_ns, **settings) as url:
        visitor = Visitor(url)
        with visitor.client:
            yield visitor


def all_runs(store: Store) -> list[RunRow]:
    """Every run of a ledger as it stands."""
    return list(store.runs(RunFilter()))
