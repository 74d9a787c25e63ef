# SPDX-License-Identifier: Apache-2.0
"""What can be looked at: every view, runs by any of their names, and nothing of telemetry as markup."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
import pytest
from starlette.applications import Starlette

from agent_outcomes.gateway.access.admission import Admission
from agent_outcomes.gateway.access.blocking import BlockingCalls
from agent_outcomes.gateway.access.context import GatewayContext
from agent_outcomes.gateway.page.routes import create_page
from agent_outcomes.gateway.settings import GatewaySettings
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.semconv import Status
from tests.acceptances import acceptance_of, case_acceptances, pending, plain_run
from tests.gateway_api import served
from tests.integration.gateway.page.page_reading import Page
from tests.integration.gateway.page.site import all_runs, visited

pytestmark = pytest.mark.backends

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}${7*7}",
    "</title></textarea></select><svg onload=alert(1)>",
    "&lt;b&gt;&#0;",
    "line\nbreak\r\x1b[31mred\x07\x00\x85\u2028",
    "\u202eright to left\u2066\u200b\ufeff",
    "\ud800 alone",
    "../../etc/passwd?x=1#y",
    "a" * 256,
)

ASKED = ("agent", "job_type", "label", "range", "state", "from", "to", "before", "after", "done")


def accept_hostile(store: Store) -> None:
    """Runs with hostile texts in every field, some pending."""
    made = []
    for number, text in enumerate(HOSTILE, 1):
        run = plain_run(number, agent=text, run_id=f"{text[:200]}{number}")
        for name in ("job_type", "conversation_id", "agent_id", "caller_id"):
            setattr(run, name, text)
        stated = Outcome.failure(text, label=text, metadata={text: [text, {"x": text}]}, error_category=text)
        made += [acceptance_of(run, stated), pending(1000 + number, agent=text)]
    store.accept(made)


def _is_harmless(page: Page) -> bool:
    known = {"html", "head", "body", "script", "link", "meta", "title"}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        assert tag not in {"img", "iframe", "object", "embed", "base", "textarea", "style"}, tag
        if tag == "script":
            assert attributes.get("src", "").startswith("/static/page.js?")
        for name in ("href", "action", "src"):
            value = attributes.get(name, "/")
            assert value.startswith(("/", "#", "http://traces.example/trace/", "data:image/svg+xml,")), value
            assert not value.startswith("//"), value
        assert all(value.isprintable() for value in attributes.values()), (tag, attributes)
    assert page.text.isprintable()
    return known <= {tag for tag, _ in page.elements}


def test_nothing_of_telemetry_is_markup(kept: Store) -> None:
    """Names, labels, messages and metadata of any text, in every view, in links and in forms: shown as text."""
    accept_hostile(kept)
    rows = all_runs(kept)
    assert len(rows) == 2 * len(HOSTILE)
    with visited(kept) as visitor:
        for path in ("/?range=24h", "/judge", "/runs", *(f"/runs/{row.outcome_id}" for row in rows)):
            assert _is_harmless(visitor.page(path)), path
        for text in HOSTILE:
            query = urlencode(dict.fromkeys(ASKED, text), errors="replace")
            for view in ("/", "/judge", "/runs"):
                assert _is_harmless(visitor.page(f"{view}?{query}"))
            answer = visitor.get(f"/runs/{quote(text, safe='', errors='replace')}")
            assert answer.status_code == 404
            assert answer.text == "Not Found" or _is_harmless(Page(answer.text))


def test_a_run_is_found_by_each_of_its_names(kept: Store) -> None:
    """Outcome id, trace id in any case, and the user's own key, also one that looks like a path."""
    run = pending(77, run_id="orders/17?x=1&y=ü #1")
    kept.accept([run, pending(78)])
    trace_id = run.run.id.partition("-")[0]
    with visited(kept) as visitor:
        own = quote(run.run.run_id or "", safe="")
        for path in (run.run.id, run.run.id.upper(), trace_id, trace_id.upper(), own, f"run_id:{own}"):
            page = visitor.page(f"/runs/{path}")
            assert run.run.id in page.text, path
            assert f"http://traces.example/trace/{trace_id}" in page.links()
        for given in (run.run.id, trace_id, run.run.run_id or ""):
            found = visitor.get(f"/find?id={quote(given, safe='')}")
            assert found.status_code == 303
            assert run.run.id in visitor.page(found.headers["location"]).text
        assert visitor.get("/find?id=+").headers["location"] == "/runs"


def test_of_several_runs_with_one_key_one_is_chosen(kept: Store) -> None:
    """The page names them all."""
    runs = [pending(number, run_id="twice") for number in (5, 6)]
    kept.accept(runs)
    with visited(kept) as visitor:
        answer = visitor.get("/runs/twice")
        assert answer.status_code == 300
        assert {f"/runs/{run.run.id}" for run in runs} <= set(Page(answer.text).links())


def test_the_list_shows_every_run_once_page_by_page(kept: Store) -> None:
    """Through all pages, the last that ended first."""
    numbers = range(1, 251)
    kept.accept([pending(number) for number in numbers])
    seen: list[str] = []
    with visited(kept) as visitor:
        path = "/runs?state=pending"
        while path:
            page = visitor.page(path)
            seen += [link.removeprefix("/runs/") for link in page.links() if link.startswith("/runs/0")]
            following = [attributes["href"] for _, attributes in page.elements if attributes.get("rel") == "next"]
            path = following[0] if following else ""
    assert seen == [row.outcome_id for row in all_runs(kept)]


def test_the_list_narrows_down(kept: Store) -> None:
    """By state, agent, job type, status, type and label, each and together."""
    kept.accept([acceptance for _, acceptance in case_acceptances()])
    rows = all_runs(kept)
    with visited(kept) as visitor:
        for status in {row.status for row in rows}:
            page = visitor.page(f"/runs?status={status}")
            expected = [row.outcome_id for row in rows if row.status == status][:100]
            assert [link[6:] for link in page.links() if link.startswith("/runs/0")] == expected
        assert "No run is like this." in visitor.page("/runs?agent=nobody").text
        assert "No run is like this." in visitor.page("/runs?label=nothing&type=converted").text
        for nonsense in ("status=good", "type=x", "state=y", "range=1y", "before=x", "before=1.2.3", "before=9.%FF"):
            assert visitor.page(f"/runs?{nonsense}").links()
        assert len(Status) > 1


def test_an_empty_ledger_says_what_to_do_next(kept: Store) -> None:
    """Each view has words for it."""
    with visited(kept) as visitor:
        for path in ("/", "/runs"):
            assert "OTEL_EXPORTER_OTLP_ENDPOINT" in visitor.page(path).text
        assert "Nothing waits for a verdict." in visitor.page("/judge").text
        answer = visitor.get("/runs/" + "0" * 32)
        assert answer.status_code == 404
        assert "No such run" in Page(answer.text).text


def test_every_answer_has_the_headers_that_keep_a_page_to_itself(kept: Store) -> None:
    """No inline script or style, no frame, no sniffing, nothing kept but what has its content in its address."""
    run = pending(3)
    kept.accept([run])
    with visited(kept) as visitor:
        page = visitor.page("/judge")
        answers = [
            visitor.get(path)
            for path in ("/", "/judge", "/runs", f"/runs/{run.run.id}", "/runs/none", "/find", "/login", "/static/x")
        ]
        answers.append(visitor.send(page, run.run.id, {"verdict": "success"}))
        answers.append(visitor.client.post("/logout"))
        static = [visitor.get(src) for src in _static_of(page)]
    for answer in (*answers, *static):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    for answer in answers[:7]:
        assert answer.headers["cache-control"] == "no-store"
    assert [answer.status_code for answer in static] == [200, 200]
    assert all("immutable" in answer.headers["cache-control"] for answer in static)


def test_a_link_on_another_site_leads_here_without_a_detour_for_the_visitor(kept: Store) -> None:
    """The browser keeps its cookie back then, so that a page without any data asks it to load this one itself."""
    run = pending(4, agent="secret-agent")
    kept.accept([run])
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    with visited(kept) as visitor:
        answer = visitor.get(f"/runs/{run.run.id}?done=report", **headers)
        assert answer.status_code == 200
        assert "secret-agent" not in answer.text
        refresh = next(
            attributes["content"] for _, attributes in Page(answer.text).elements if "http-equiv" in attributes
        )
        assert refresh == f"0;url=/runs/{run.run.id}?done=report"
        for path in ("/runs/a%3Fb%23c%22%3E", "/runs?agent=%22%3E%3Cb%3E", "/runs/%00%E2%80%AE"):
            page = Page(visitor.get(path, **headers).text)
            assert f"0;url={path}" in {attributes.get("content") for _, attributes in page.elements}
        embedded = visitor.get(f"/runs/{run.run.id}", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"})
        assert embedded.status_code == 403
        assert "secret-agent" not in embedded.text


def test_the_address_of_a_form_leads_back_to_its_page(kept: Store) -> None:
    """It stands in the browser's bar after a form was refused, and may be loaded again or be sent to somebody."""
    run = pending(4)
    kept.accept([run])
    with visited(kept) as visitor:
        for what in ("report", "retract", "costs"):
            assert visitor.get(f"/runs/{run.run.id}/{what}").headers["location"] == f"/runs/{run.run.id}"
        assert visitor.get(f"/judge/{run.run.id}?agent=support").headers["location"] == "/judge?agent=support"


def test_a_busy_gateway_says_when_to_come_again(kept: Store) -> None:
    """Where no thread is free, and more wait than may."""
    calls = BlockingCalls(threads=1, calls_max=0)
    context = GatewayContext(
        kept, GatewaySettings(str(kept.location), Path.cwd()), calls.run, Admission(kept, calls.run)
    )
    with served(Starlette(routes=create_page(context))) as url, httpx.Client(trust_env=False) as client:
        answer = client.get(f"{url}/runs")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "The gateway is busy." in Page(answer.text).text
    calls.close()


def test_a_ledger_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """With the ledger's own words, and none of the server's."""
    store = Store.open(read_location(f"sqlite:///{tmp_path}/ledger.db"))
    store.accept([pending(number) for number in range(1, 400)])
    with visited(store) as visitor:
        assert visitor.get("/runs").status_code == 200
        store.database.engine.dispose()
        for path in (tmp_path / "ledger.db", tmp_path / "ledger.db-wal"):
            path.write_bytes(b"no database " * 10_000)
        for view in ("/", "/runs", "/judge"):
            answer = visitor.get(view)
            assert answer.status_code == 503
            assert "The ledger cannot be read" in Page(answer.text).text
            assert "Traceback" not in answer.text
    store.close()


def test_another_host_name_is_not_served_without_keys(kept: Store) -> None:
    """A name of another site that was made to mean this machine."""
    kept.accept([pending(4, agent="secret-agent")])
    with visited(kept) as visitor:
        answer = visitor.get("/runs", Host="evil.example")
        assert answer.status_code == 403
        assert "secret-agent" not in answer.text


def _static_of(page: Page) -> list[str]:
    given = (attributes.get("src") or attributes.get("href", "") for tag, attributes in page.elements if tag != "a")
    return [address for address in given if address.startswith("/static/")]
