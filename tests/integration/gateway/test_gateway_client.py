# SPDX-License-Identifier: Apache-2.0
"""`report_outcome` and `report_cost` to a gateway: the answers and refusals of a ledger, over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from agent_outcomes import RefusalCode, ReportRefused, ReportState, report_cost, report_outcome
from agent_outcomes.api.gateway_client import read_gateway
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.reports import RunReference
from agent_outcomes.ledger.keys import Right, create_key
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.settings import SettingsError
from tests.acceptances import pending
from tests.gateway_api import api_of, served
from tests.integration.installed import IMPORTED_FROM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request

pytestmark = pytest.mark.backends

VARIABLES = ("AGENT_OUTCOMES_LEDGER", "AGENT_OUTCOMES_GATEWAY", "AGENT_OUTCOMES_GATEWAY_KEY")
RUNS = 8
ACCEPTED = [pending(number, run_id=f"ticket/{number}", agent="bot") for number in range(1, RUNS)]

# One report after another, each with what it is called with.
CALLS: list[tuple[Any, dict[str, Any]]] = [
    (
        report_outcome,
        {"run_id": "ticket/1", "success": True, "label": "stayed_closed", "value": "12.50", "currency": "eur"},
    ),
    (
        report_outcome,
        {
            "run_id": "ticket/1",
            "success": "true",
            "label": "stayed_closed",
            "value": Decimal("12.5"),
            "currency": "EUR",
        },
    ),
    (report_outcome, {"run_id": "ticket/1", "success": False}),
    (report_outcome, {"run_id": "ticket/1", "success": False, "reason": "no flag", "label": "x"}),
    (report_outcome, {"run_id": "ticket/1", "success": False, "reason": "came back", "correct": True}),
    (
        report_outcome,
        {"outcome_id": ACCEPTED[1].run.id, "type": "converted", "value": 0.1, "metadata": {"a": [1, 0.5]}},
    ),
    (report_outcome, {"trace_id": 3, "success": True, "message": "m" * 9000, "if_revision": 0}),
    (report_outcome, {"trace_id": f"{3:032X}", "success": True, "if_revision": 0}),
    (report_outcome, {"run_id": "ticket/4", "success": True, "idempotency_key": "k"}),
    (report_outcome, {"run_id": "ticket/4", "success": True, "idempotency_key": "k"}),
    (report_outcome, {"run_id": "ticket/5", "success": True, "idempotency_key": "k"}),
    (report_outcome, {"run_id": "ticket/1", "retract": True, "reason": "mistaken", "correct": True}),
    (report_outcome, {"run_id": "ticket/1", "value": "1e3", "currency": "XXY", "label": 5}),
    (report_outcome, {"run_id": "ticket/1"}),
    (report_outcome, {"run_id": "none ☃ %2F ?#", "success": True}),
    (report_outcome, {"run_id": "ticket/6", "success": True, "label": "half\ud800", "reported_by": "crm"}),
    (report_outcome, {"run_id": "ticket/6", "success": True, "status": "failure", "reported_by": "crm"}),
    (report_cost, {"run_id": "ticket/1", "amount": "50.00", "kind": "human"}),
    (report_cost, {"run_id": "ticket/1", "amount": Decimal(50), "kind": "human"}),
    (report_cost, {"run_id": "ticket/1", "amount": 0.123456789012, "currency": "JPY", "idempotency_key": "c"}),
    (report_cost, {"run_id": "ticket/1", "amount": "-1"}),
    (report_cost, {"run_id": "none", "amount": 1}),
]


@pytest.fixture(autouse=True)
def _without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def told(report: Callable[..., Any], where: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """The answer, or all of the refusal."""
    try:
        return report(**where, **arguments, retry=False)
    except ReportRefused as refused:
        return refused.args


@pytest.mark.parametrize("policy", list(Policy))
def test_a_gateway_answers_as_its_ledger_does(tmp_path: Path, policy: Policy) -> None:
    """The same calls at first hand and over HTTP: the same answers, refusals and words, and the same revisions."""
    stores = []
    for name in ("direct", "behind"):
        store = Store.open(read_location(f"sqlite:///{tmp_path / name}.db"), policy=policy)
        store.accept(ACCEPTED)
        stores.append(store)
    direct, behind = stores
    with api_of(behind) as url:
        for report, arguments in CALLS:
            expected = told(report, {"ledger": str(direct.location)}, arguments)
            assert told(report, {"gateway": url}, arguments) == expected
    for store in stores:
        store.close()
    states = []
    for store in (Store.open(read_location(f"sqlite:///{tmp_path / name}.db")) for name in ("direct", "behind")):
        rows = [
            row.content
            for number in range(1, RUNS)
            for row in store.run(RunReference(trace_id=f"{number:032x}")).revisions
        ]
        states.append(
            [
                (row.run, replace(row.outcome, problems=()), row.revision, row.change, row.reported_by, row.reason)
                for row in rows
                if row
            ]
        )
        store.close()
    assert len(states[0]) > RUNS
    assert states[0] == states[1]


def test_the_variables_name_a_gateway(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its key, from another process, in which no ledger's packages need be installed."""
    _, secret = create_key(kept, "crm", rights=[Right.REPORT], agents=["bot"])
    kept.accept([*ACCEPTED, pending(99, run_id="theirs", agent="other")])
    script = (
        "import json, sys\nsys.modules['sqlalchemy'] = None\n"
        "from agent_outcomes import report_cost, report_outcome\n"
        "done = report_outcome(run_id='ticket/1', success=True), report_cost(run_id='ticket/1', amount='1.25')\n"
        "print(json.dumps(done))"
    )
    with api_of(kept) as url:
        environ = {"PYTHONPATH": str(IMPORTED_FROM), VARIABLES[1]: url, VARIABLES[2]: secret}
        command = [sys.executable, "-W", "error", "-c", script]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert [report[:3] for report in json.loads(done.stdout)] == [
            ["recorded", ACCEPTED[0].run.id, 1],
            ["recorded", ACCEPTED[0].run.id, 2],
        ]
        monkeypatch.setenv(VARIABLES[1], url)
        for key, run_id, fields in [
            (None, "ticket/2", ("key",)),
            ("aok_wrong", "ticket/2", ("key",)),
            (secret, "theirs", ()),
        ]:
            with pytest.raises(ReportRefused) as refused:
                report_outcome(run_id=run_id, success=True, key=key, retry=False)
            assert (refused.value.code, refused.value.fields) == (RefusalCode.NOT_ALLOWED, fields)
            assert "aok_" not in str(refused.value)
        # A ledger that is named goes before it.
        assert report_outcome(run_id="ticket/2", success=True, ledger=url_of(kept)).state is ReportState.RECORDED


def url_of(store: Store) -> str:
    return store.location.url or str(store.location)


def test_texts_that_are_hidden_here_are_not_sent(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.accept(ACCEPTED)
    monkeypatch.setenv("AGENT_OUTCOMES_HIDE_MESSAGE", "true")
    monkeypatch.setenv("AGENT_OUTCOMES_HIDE_METADATA", "true")
    with api_of(kept) as url:
        report_outcome(gateway=url, run_id="ticket/1", success=True, message="secret", metadata={"a": "secret"})
    assert b"secret" not in (kept.run(RunReference(run_id="ticket/1")).row.standing.encoded or b"")


@contextmanager
def answering(answer: Callable[[Request], Response]) -> Iterator[tuple[str, list[Request]]]:
    """A server that answers everything so, and what it was asked."""
    asked: list[Request] = []

    async def respond(request: Request) -> Response:
        await request.body()
        asked.append(request)
        return answer(request)

    with served(Starlette(routes=[Route("/{rest:path}", respond, methods=["GET", "PUT", "POST"])])) as url:
        yield url, asked


RECORDED = {"state": "recorded", "outcome_id": "o", "revision": 1, "problems": [], "repeated": False}


@pytest.mark.parametrize(
    ("answer", "code", "field"),
    [
        (lambda _: RedirectResponse("/elsewhere", 307), RefusalCode.INVALID_REPORT, "gateway"),
        (lambda _: RedirectResponse("/elsewhere", 301), RefusalCode.INVALID_REPORT, "gateway"),
        (lambda _: Response("<html>login</html>", 200, media_type="text/html"), RefusalCode.INVALID_REPORT, "gateway"),
        (lambda _: Response("not found", 404), RefusalCode.INVALID_REPORT, "gateway"),
        (lambda _: JSONResponse({"state": "great"}), RefusalCode.INVALID_REPORT, "gateway"),
        (lambda _: JSONResponse({**RECORDED, "revision": "1"}), RefusalCode.INVALID_REPORT, "gateway"),
        (lambda _: JSONResponse([1]), RefusalCode.INVALID_REPORT, "gateway"),
        (lambda _: JSONResponse({**RECORDED, "padding": "x" * 100_000}), RefusalCode.INVALID_REPORT, "gateway"),
        (lambda _: Response(b"[" * 50_000, 200, media_type="application/json"), RefusalCode.INVALID_REPORT, "gateway"),
        (lambda _: Response("bad gateway", 502), RefusalCode.LEDGER_UNAVAILABLE, None),
        (lambda _: Response("slow down", 429, {"retry-after": "7"}), RefusalCode.LEDGER_UNAVAILABLE, None),
        (lambda _: JSONResponse({"code": "OVERLOADED", "detail": "d"}, 503), RefusalCode.LEDGER_UNAVAILABLE, None),
        (
            lambda _: JSONResponse({"code": "NOT_ALLOWED", "detail": "e\x1b[31m", "fields": 5}, 403),
            RefusalCode.NOT_ALLOWED,
            None,
        ),
    ],
)
def test_what_is_no_answer_of_a_gateway_is_not_taken_for_one(
    answer: Callable[[Request], Response], code: RefusalCode, field: str | None
) -> None:
    """No redirect is followed, nor the key sent on; a login page is no success; replies are bounded."""
    with answering(answer) as (url, asked), pytest.raises(ReportRefused) as refused:
        report_outcome(gateway=url, key="aok_secret", run_id="r", success=True, retry=False)
    assert (refused.value.code, refused.value.fields) == (code, () if field is None else (field,))
    assert len(asked) == 1
    assert asked[0].headers["authorization"] == "Bearer aok_secret"
    assert "aok_secret" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert refused.value.retry_after_s == (7.0 if "answered 429" in refused.value.message else None)


def test_an_answer_that_was_lost_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try of one call has the same key of its own, so that none is recorded twice; another call has another."""
    monkeypatch.setattr("agent_outcomes.api.report.time.sleep", lambda _: None)
    answers = [
        Response("", 503),
        Response("", 504),
        JSONResponse({**RECORDED, "repeated": True}, 201),
        JSONResponse(RECORDED, 201),
    ]
    monkeypatch.setattr("agent_outcomes.api.report.asked_again", _at_once)
    bodies: list[dict[str, Any]] = []

    def answer(request: Request) -> Response:
        bodies.append(json.loads(request._body))
        return answers[len(bodies) - 1]

    with answering(answer) as (url, _):
        report = report_outcome(gateway=url, run_id="r", success=True)
        report_outcome(gateway=url, run_id="r", success=True)
    assert (report.state, report.repeated) == (ReportState.RECORDED, False)
    keys = [body["idempotency_key"] for body in bodies]
    assert keys[0] == keys[1] == keys[2] != keys[3]


def _at_once(ask: Callable[[], Any]) -> Any:
    """As it is asked again, but without waiting."""
    while True:
        try:
            return ask()
        except ReportRefused as refused:
            if not refused.retryable:
                raise


def test_nobody_there_is_a_ledger_that_is_away() -> None:
    with answering(lambda _: Response()) as (url, _):
        pass
    with pytest.raises(ReportRefused, match=r"gave no answer: connection_refused") as refused:
        report_outcome(gateway=url, run_id="r", success=True, retry=False)
    assert refused.value.retryable


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8321",
        "ftp://host/",
        "http://",
        "http://user:hunter2@host",
        "http://host?key=hunter2",
        "http://host:port",
        "http://host/#x",
        "http://[::1",
    ],
)
def test_a_url_that_names_no_gateway_says_what_it_takes(url: str) -> None:
    """And shows nothing that may be secret."""
    with pytest.raises(SettingsError, match=r"as http://127\.0\.0\.1:8321") as error:
        read_gateway(url, None)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("key", ["", "two words", "line\nend", "é"])
def test_a_key_with_characters_that_no_key_has_is_not_sent(key: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_gateway("http://127.0.0.1:8321", key)
    assert not key or key not in str(error.value)


def test_a_key_is_in_no_repr() -> None:
    assert "aok_secret" not in repr(read_gateway("http://127.0.0.1:8321/prefix/", "aok_secret"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"gateway": 5},
        {"key": b"k"},
        {"gateway": "http://h", "ledger": "sqlite:///x.db"},
        {"gatway": "http://h"},
        {"gateway": "http://h", "retry": 1},
    ],
)
def test_a_call_that_cannot_be_meant_is_a_type_error(arguments: dict[str, Any]) -> None:
    for report, needed in ((report_outcome, {"success": True}), (report_cost, {"amount": Fraction(1, 2)})):
        with pytest.raises(TypeError):
            report(run_id="r", **needed, **arguments)
