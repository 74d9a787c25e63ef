# SPDX-License-Identifier: Apache-2.0
"""Runs, their history and their sums over HTTP: the same as the ledger tells at first hand."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent_outcomes.gateway.http_api.exports import EXPORT_PAGE_ROWS
from agent_outcomes.ledger.book.reading import read_cost, read_report
from agent_outcomes.ledger.book.reports import Reporter, RunReference
from agent_outcomes.ledger.exporting import exported, exported_pause, plain_row
from agent_outcomes.ledger.rows import RunFilter
from tests.acceptances import END_NS, acceptance_of, pending, plain_run, random_acceptance
from tests.gateway_api import api_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_outcomes.ledger.store import Store

pytestmark = pytest.mark.backends

RUNS = 60
LATER_NS = END_NS + 10**13
CORRECTOR = Reporter("reviewer", may_correct=True)


@pytest.fixture
def api(kept: Store) -> Iterator[httpx.Client]:
    random = Random(7)
    made = [random_acceptance(random, number) for number in range(1, RUNS + 1)]
    kept.accept(made)
    for acceptance in random.sample(made, 20):
        named: Any = {"outcome_id": acceptance.run.id, "reason": "seen later"}
        kept.report(
            read_report(CORRECTOR, type="converted", value=random.randrange(1000), label="sold", **named),
            now_ns=LATER_NS,
        )
        kept.add_cost(read_cost(CORRECTOR, amount="1.005", kind="human", **named), now_ns=LATER_NS)
    with api_of(kept) as url, httpx.Client(timeout=60.0, base_url=url) as client:
        yield client


def listed(api: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    """All runs that are asked for, page by page; no page has more than its limit, none comes twice."""
    found: list[dict[str, Any]] = []
    limit = query.get("limit", 7)
    cursor: dict[str, str] = {}
    while True:
        page = api.get("/v1/runs", params={"limit": limit, **query, **cursor}).json()
        assert len(page["runs"]) <= limit
        found += page["runs"]
        if page["next"] is None:
            assert len({run["outcome_id"] for run in found}) == len(found)
            return found
        cursor = {"cursor": page["next"]}


def test_pages_have_every_run_once(kept: Store, api: httpx.Client) -> None:
    """The last that ended first, with what stands of each, whatever the size of a page."""
    expected = [row.outcome_id for row in kept.runs(RunFilter())]
    for limit in (1, 13, 1000):
        assert [run["outcome_id"] for run in listed(api, limit=limit)] == expected


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ({"state": "pending"}, lambda run: run["state"] == "pending"),
        ({"state": "reported"}, lambda run: run["state"] == "reported"),
        ({"agent": "über"}, lambda run: run["agent_name"] == "über"),
        ({"job_type": "lead"}, lambda run: run["job_type"] == "lead"),
        ({"status": "timeout"}, lambda run: run["status"] == "timeout"),
        ({"type": "converted"}, lambda run: run["outcome"]["type"] == "converted"),
        (
            {"label": "sold", "status": "failure"},
            lambda run: run["outcome"]["label"] == "sold" and run["status"] == "failure",
        ),
        (
            {"since": "2023-11-14T22:20:00Z", "until": "2023-11-14T22:25:00Z"},
            lambda run: "22:20" <= run["ended_at"][11:16] < "22:25",
        ),
        ({"agent": "nobody"}, lambda _: False),
    ],
)
def test_filters_keep_what_matches(api: httpx.Client, query: dict[str, str], matches: Any) -> None:
    everything = listed(api)
    assert listed(api, **query) == [run for run in everything if matches(run)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "open"}, "state"),
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-13-01"}, "until"),
        ({"cursor": "page-two"}, "cursor"),
        ({"colour": "red"}, "colour"),
        ({"status": "fine"}, "status"),
    ],
)
def test_a_query_that_cannot_be_read_names_its_parameter(api: httpx.Client, query: dict[str, str], field: str) -> None:
    """And what it takes; never what was in it."""
    refused = api.get("/v1/runs", params=query)
    assert (refused.status_code, refused.json()["code"]) == (422, "INVALID_QUERY")
    assert refused.json()["fields"] == [field]
    assert next(iter(query.values())) not in refused.json()["detail"] or query == {"limit": "0"}


@pytest.mark.parametrize("word", ["null", "NULL", "Null", "none", "true", "0", ""])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/runs", "state"),
        ("/v1/runs", "status"),
        ("/v1/runs", "type"),
        ("/v1/export", "format"),
        ("/v1/runs/run_id:r", "run"),
    ],
)
def test_no_word_stands_for_a_parameter_that_is_not_there(api: httpx.Client, path: str, name: str, word: str) -> None:
    """It would be taken for nothing asked, and answered with what nobody asked for."""
    refused = api.get(path, params={name: word})
    assert (refused.status_code, refused.json()["fields"]) == (422, [name])


@pytest.mark.parametrize("count", ["null", "+5", "-1", "5.0", "1e1", " 5", "0x5", "\u0665", "9" * 30, ""])
def test_a_count_is_decimal_digits(api: httpx.Client, count: str) -> None:
    refused = api.get("/v1/runs", params={"limit": count})
    assert (refused.status_code, refused.json()["fields"]) == (422, ["limit"])


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/totals", "/v1/export"])
@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-01-02", "2026-01-01"),
        ("1h", "1d"),
        ("2026-01-01T00:00:00.000000001Z", "2026-01-01"),
        ("1s", "2020-01-01"),
    ],
)
def test_a_range_that_ends_before_it_begins_is_refused(api: httpx.Client, path: str, since: str, until: str) -> None:
    """It would be told of as one in which nothing was; one of no length is one."""
    refused = api.get(path, params={"since": since, "until": until})
    assert (refused.status_code, refused.json()["fields"]) == (422, ["since", "until"])
    assert api.get(path, params={"since": until, "until": since}).status_code == 200
    assert api.get(path, params={"since": until, "until": until}).status_code == 200


def test_totals_of_what_is_to_come_are_refused(api: httpx.Client) -> None:
    """Without an end they end now."""
    refused = api.get("/v1/totals", params={"since": "2200-01-01"})
    assert (refused.status_code, refused.json()["fields"]) == (422, ["since", "until"])


@pytest.mark.parametrize("asked", [{"type": "custom"}, {"label": "sold"}, {"type": "converted", "label": "sold"}])
def test_no_run_is_pending_and_has_a_result(api: httpx.Client, asked: dict[str, str]) -> None:
    refused = api.get("/v1/runs", params={"state": "pending", **asked})
    assert (refused.status_code, refused.json()["fields"]) == (422, ["state", *asked])
    assert api.get("/v1/runs", params={"state": "reported", **asked}).status_code == 200


def test_one_run_is_told_whole(kept: Store, api: httpx.Client) -> None:
    """What stands, its resource, how far its events are; and its history, each revision with who and why."""
    changed = next(row for row in kept.runs(RunFilter()) if row.standing.revision == 2)
    history = kept.run(RunReference(outcome_id=changed.outcome_id))
    told = api.get(f"/v1/runs/{changed.outcome_id}")
    run = told.json()
    assert told.headers["etag"] == '"2"'
    assert run["resource"] == {"service.name": "shop", "host.ports": ["80", "443"]}
    assert [delivery["state"] for delivery in run["deliveries"]] == ["waiting"] * len(history.deliveries)
    assert run["outcome"]["reported_by"] == "reviewer"
    assert {"kind": "human", "currency": "USD", "amount": "1.005"} in run["outcome"]["costs"]
    revisions = api.get(f"/v1/runs/{changed.outcome_id}/revisions").json()["revisions"]
    assert revisions[-1] == run["outcome"]
    for revision, row in zip(revisions, history.revisions, strict=True):
        plain = plain_row(exported(row))
        for name in (
            "revision",
            "change",
            "reported_by",
            "reason",
            "state",
            "success",
            "type",
            "label",
            "value",
            "digest",
        ):
            assert revision[name] == plain[name]
    for missing in ("/v1/runs/run_id:none", f"/v1/runs/{'f' * 32}/revisions"):
        refused = api.get(missing)
        assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (
            404,
            "RUN_NOT_FOUND",
            True,
        )


def test_texts_of_any_kind_come_through(kept: Store) -> None:
    """Control characters, other scripts, and halves of characters, which no JSON in UTF-8 holds."""
    names = ["bot\x00nul", "坊", "half\ud800", "a\u202eb\r\n\x1b[31m", "<script>"]
    made = [acceptance_of(plain_run(number, agent=name), pending(1).outcome) for number, name in enumerate(names, 1)]
    kept.accept(made)
    with api_of(kept) as url:
        told = {run["agent_name"] for run in httpx.get(timeout=60.0, url=f"{url}/v1/runs").json()["runs"]}
        assert len(httpx.get(timeout=60.0, url=f"{url}/v1/export").text.splitlines()) == len(names)
    assert len(told) == len(names)
    assert {"坊", "<script>", "a\u202eb\r\n\x1b[31m"} < told


def test_the_export_is_the_whole_history(kept: Store, api: httpx.Client) -> None:
    """In both forms the very rows that the command line writes."""
    kept.accept([pending(number)._replace(paused=True) for number in (901, 902)])
    expected = [plain_row(exported(row)) for row in kept.revisions()]
    expected += [plain_row(exported_pause(row)) for row in kept.pauses()]
    lines = api.get("/v1/export")
    assert lines.headers["content-type"] == "application/jsonl"
    assert [json.loads(line) for line in lines.text.splitlines()] == expected
    table = api.get("/v1/export", params={"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert [row["digest"] for row in rows] == [row["digest"] for row in expected]
    assert [row["value"] for row in rows] == [row["value"] or "" for row in expected]
    assert [row["change"] for row in rows][-2:] == ["paused", "paused"]
    own = [json.loads(line) for line in api.get("/v1/export", params={"agent": "sales"}).text.splitlines()]
    assert own == [row for row in expected if row["agent_name"] == "sales"]
    assert api.get("/v1/export", params={"until": "2000-01-01"}).text == ""


def test_an_export_of_many_pages_has_one_header(kept: Store) -> None:
    count = EXPORT_PAGE_ROWS * 2
    kept.accept([pending(number)._replace(paused=number > EXPORT_PAGE_ROWS) for number in range(1, count + 1)])
    with api_of(kept) as url:
        table = httpx.get(timeout=60.0, url=f"{url}/v1/export?format=csv").text
        lines = httpx.get(timeout=60.0, url=f"{url}/v1/export").text
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert len({row["outcome_id"] for row in rows}) == len(rows) == count
    assert table.count("outcome_id") == 1
    assert len(lines.splitlines()) == count


def test_totals_are_the_sums_of_what_is_listed(api: httpx.Client) -> None:
    """Counted anew here, from each run as it is told; money to the last digit."""
    runs = listed(api)
    totals = api.get("/v1/totals", params={"since": "2023-11-01", "until": "2023-12-01"}).json()
    assert (totals["runs"], totals["is_partial"]) == (RUNS, False)
    assert totals["pending"] == sum(run["state"] == "pending" for run in runs)
    assert totals["successes"] == sum(run["outcome"]["success"] is True for run in runs)
    assert totals["funnel"]["successful"] == sum(run["status"] == "success" for run in runs)
    kinds = Counter((run["outcome"]["type"], run["outcome"]["label"]) for run in runs if run["state"] == "reported")
    assert {(each["type"], each["label"]): each["outcomes"] for each in totals["outcomes"]} == kinds
    values: dict[str, Decimal] = {}
    costs: dict[str, Decimal] = {}
    for run in runs:
        outcome = run["outcome"]
        if outcome["value"] is not None:
            values[outcome["currency"]] = values.get(outcome["currency"], Decimal(0)) + Decimal(outcome["value"])
        for part in outcome["costs"]:
            costs[part["currency"]] = costs.get(part["currency"], Decimal(0)) + Decimal(part["amount"])
    told = {each["currency"]: (Decimal(each["value"]), Decimal(each["cost"])) for each in totals["money"]}
    assert told == {
        currency: (values.get(currency, Decimal(0)), costs.get(currency, Decimal(0))) for currency in {*values, *costs}
    }
    assert sum(each["runs"] for each in totals["rates"]) == RUNS
    one = api.get("/v1/totals", params={"since": "2023-11-01", "until": "2023-12-01", "agent": "sales"}).json()
    assert one["runs"] == sum(run["agent_name"] == "sales" for run in runs)


def test_totals_are_of_the_last_thirty_days_by_default(kept: Store) -> None:
    with api_of(kept) as url:
        totals = httpx.get(timeout=60.0, url=f"{url}/v1/totals").json()
        assert (totals["runs"], totals["money"], totals["rates"]) == (0, [], [])
        assert totals["step_s"] == 30 * 86_400 // 60
        assert httpx.get(timeout=60.0, url=f"{url}/v1/totals?since=2h&until=1h").json()["runs"] == 0
