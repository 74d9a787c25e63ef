# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes ledger` as people and scripts use it, on a ledger of either engine."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from decimal import Decimal
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_outcomes.cli import main
from agent_outcomes.ledger import schema
from agent_outcomes.ledger.audit import verify
from agent_outcomes.ledger.book.policy import Policy
from agent_outcomes.ledger.book.reading import read_cost
from agent_outcomes.ledger.book.refusals import RefusalCode
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.ledger_command.exit_codes import ALL_DONE, INVALID_INPUT, NO_LEDGER, OF_REFUSAL
from agent_outcomes.semconv import AGENT_RUN_COST
from tests.acceptances import END_NS, acceptance_of, pending, plain_run, random_acceptance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Executable

    Ran = tuple[int, str, str]
    Run = Callable[..., Ran]

pytestmark = pytest.mark.backends

HOSTILE: Final = "evil\x1b[31m\nname\u202e"
RUNS: Final = 12
SECRET: Final = "hunter2"  # noqa: S105 - to be found nowhere


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    opened = Store.open(read_location(ledger_url))
    opened.accept([pending(number, run_id=f"ticket-{number}") for number in range(1, RUNS)])
    opened.accept([acceptance_of(plain_run(99, agent=HOSTILE, run_id=HOSTILE), pending(1).outcome)])
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store, ledger_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process, on that ledger."""
    del store
    monkeypatch.setenv("AGENT_OUTCOMES_LEDGER", ledger_url)

    def ran(*arguments: str) -> Ran:
        capfd.readouterr()
        try:
            code = main(["ledger", *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capfd.readouterr()
        return code, said.out, said.err

    return ran


def objects(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def deliver_all(store: Store, *, but: int | None = None) -> None:
    values: dict[str, Any] = {"state": "delivered", "payload": None, "delivered_ns": END_NS}
    everything = schema.deliveries.update().values(values)
    chosen = everything if but is None else everything.where(schema.deliveries.c.run != but)
    store.database.write(lambda connection: connection.execute(chosen))


def test_a_verdict_is_reported_shown_and_counted_once(run: Run) -> None:
    verdict = ("report", "--run-id", "ticket-3", "--success", "--label", "stayed_closed", "--reason", "quiet for 7 d")
    assert run(*verdict)[0] == 0
    code, out, _ = run(*verdict)
    assert code == 0
    assert "unchanged: revision 1" in out
    code, out, _ = run("show", "ticket-3")
    assert code == 0
    for told in ("revision 1: reported", "reason: quiet for 7 d", "state: pending -> reported", "stayed_closed"):
        assert told in out
    (status,) = objects(run("status", "--json")[1])
    assert (status["runs"], status["pending"], status["accepted"]) == (RUNS, RUNS - 1, RUNS + 1)


def test_each_refusal_has_its_exit_code_and_changes_nothing(run: Run, store: Store) -> None:
    run("report", "--run-id", "ticket-1", "--success", "--idempotency-key", "k")
    store.accept([pending(201, run_id="twice"), pending(202, run_id="twice")])
    refusals = {
        "OUTCOME_CONFLICT": ("report", "--run-id", "ticket-1", "--no-success"),
        "STALE_REVISION": ("report", "--run-id", "ticket-1", "--success", "--if-revision", "7"),
        "IDEMPOTENCY_KEY_REUSED": ("report", "--run-id", "ticket-2", "--success", "--idempotency-key", "k"),
        "RUN_AMBIGUOUS": ("report", "--run-id", "twice", "--success"),
        "RUN_NOT_FOUND": ("show", "ticket-999"),
        "INVALID_REPORT": ("cost", "--run-id", "ticket-1", "--amount", "1e400"),
    }
    before = store.status(0)
    for code, arguments in refusals.items():
        ended, out, err = run(*arguments)
        assert ended == next(number for refusal, number in OF_REFUSAL.items() if refusal == code)
        assert err.startswith(f"{code}: ")
        assert not out
    assert store.status(0) == before
    corrected = run("report", "--run-id", "ticket-1", "--no-success", "--correct", "--reason", "reopened")
    assert corrected[0] == 0
    assert run("report", "--run-id", "twice", "--run", "latest", "--success")[0] == 0
    assert run("report", "--run-id", "ticket-1", "--retract", "--correct", "--reason", "wrong ticket")[0] == 0
    assert "retracted" in run("show", "ticket-1")[1]


def test_a_late_cost_is_added_to_the_cent(run: Run) -> None:
    for amount in ("50.000000000001", "0.1"):
        assert run("cost", "--run-id", "ticket-2", "--amount", amount, "--kind", "human", "--reported-by", "hr")[0] == 0
    (shown,) = objects(run("show", "ticket-2", "--json")[1])
    costs = json.loads(shown["revisions"][-1]["costs"])
    assert {(cost["kind"], cost["amount"]) for cost in costs} == {("llm", "0.0125"), ("human", "50.100000000001")}


def test_what_waits_in_vain_is_listed_and_explained(run: Run) -> None:
    assert "held" in run("report", "--run-id", "not-yet", "--success")[1]
    (held,) = objects(run("list", "--state", "held", "--json")[1])
    assert held["reference"] == "run_id:not-yet"
    assert "is taken when the run comes" in run("show", "not-yet")[1]
    assert run("list", "--state", "orphan")[1] == "no such reports\n"


def test_runs_are_listed_by_state_agent_and_time(run: Run) -> None:
    run("report", "--run-id", "ticket-5", "--type", "converted")
    pending_runs = objects(run("list", "--state", "pending", "--agent", "support", "--json")[1])
    assert {row["run_id"] for row in pending_runs} == {f"ticket-{number}" for number in range(1, RUNS) if number != 5}
    (reported,) = objects(run("list", "--state", "reported", "--json")[1])
    assert (reported["run_id"], reported["type"], reported["success"]) == ("ticket-5", "converted", True)
    assert run("list", "--since", "1d")[1] == "no such runs\n"
    assert len(objects(run("list", "--until", "2030-01-01", "--limit", "4", "--json")[1])) == 4


LATER_AND_EARLIER: Final = [
    ("1d", "2d"),
    ("2026-02-01", "2026-01-31"),
    ("2100-01-01", "1s"),
    ("1m", "2020-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(
    "command", ["list", "list --state=pending", "list --state=held", "list --state=orphan", "export"]
)
def test_a_range_that_ends_before_it_begins_is_refused(run: Run, command: str) -> None:
    """In either order; the other way round, and with one bound or both the same, it is a range."""
    for later, earlier in LATER_AND_EARLIER:
        code, out, err = run(*command.split(), f"--since={later}", f"--until={earlier}")
        assert (code, out) == (INVALID_INPUT, "")
        assert "--since" in err
        for bounds in ((f"--until={later}", f"--since={earlier}"), (f"--since={later}",), (f"--until={earlier}",)):
            assert run(*command.split(), *bounds)[0] == ALL_DONE
    assert run(*command.split(), "--since=2026-01-31", "--until=2026-01-31")[0] == ALL_DONE


def test_the_export_has_every_revision_exactly(run: Run, tmp_path: Path) -> None:
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    run("report", "--run-id", "ticket-4", "--value", "-123456789012345.000000000001", "--currency", "EUR")
    lines = objects(run("export")[1])
    assert len(lines) == RUNS + 1
    table = [*csv.DictReader(io.StringIO(run("export", "--format", "csv")[1], newline=""))]
    out = tmp_path / "outcomes.parquet"
    assert run("export", "--format", "parquet", "--output", str(out))[0] == 0
    columns = parquet.read_table(out).to_pylist()
    for line, row, record in zip(lines, table, columns, strict=True):
        assert line["outcome_id"] == row["outcome_id"] == record["outcome_id"]
        assert (line["value"] or "") == row["value"]
        assert record["value"] == (None if line["value"] is None else Decimal(line["value"]))
        assert line["digest"] == row["digest"] == record["digest"]
    assert lines[-1]["value"] == "-123456789012345.000000000001"
    assert run("export", "--output", str(out))[0] == 2
    assert len(objects(run("export", "--agent", "nobody")[1])) == 0


@pytest.mark.parametrize("format_", ["jsonl", "csv", "parquet"])
def test_what_is_exported_has_cost_what_the_totals_say(run: Run, store: Store, tmp_path: Path, format_: str) -> None:
    """The last revision of each run, and each time that one has waited for a person; what is pruned is in neither."""
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    random = Random(7)
    store.accept([random_acceptance(random, 500 + number)._replace(paused=number % 3 == 0) for number in range(60)])
    store.add_cost(read_cost(run_id="ticket-1", amount="0.000000000001", currency="USD"), now_ns=END_NS)
    out = tmp_path / "history"
    assert run("export", "--format", format_, "--output", str(out))[0] == 0
    if format_ == "parquet":
        rows = parquet.read_table(out).to_pylist()
    else:
        lines = out.read_text(encoding="utf-8").splitlines()
        rows = list(map(json.loads, lines)) if format_ == "jsonl" else list(csv.DictReader(lines))
    last = {row["outcome_id"]: row for row in rows}
    costs = [part for row in last.values() for part in json.loads(row["costs"] or "[]")]
    sums: Counter[str] = Counter()
    for part in costs:
        sums[part["currency"]] += Decimal(part["amount"])  # type: ignore[assignment]
    totals: Counter[str] = Counter()
    for total in store.series().totals:
        if total.instrument == "agent.run.cost":
            currency = dict(zip(AGENT_RUN_COST.attributes, total.labels, strict=True))["agent.outcome.cost_currency"]
            totals[str(currency)] += total.amount  # type: ignore[assignment]
    assert sums == {currency: amount for currency, amount in totals.items() if amount}
    paused = [row for row in rows if row["change"] == "paused"]
    assert (len(paused), {row["status"] or None for row in paused}) == (20, {None})
    assert all(not row["revision"] for row in paused)


@pytest.mark.parametrize("format_", ["jsonl", "csv", "parquet"])
def test_an_export_that_fails_leaves_no_file(run: Run, store: Store, tmp_path: Path, format_: str) -> None:
    """A part of the history looks like the whole of it; and the next try is not refused for what the first has left."""
    path = tmp_path / "history"
    last = schema.revisions.c.id == RUNS
    sound = store.database.write(
        lambda connection: connection.execute(schema.revisions.select().where(last)).one().content
    )
    for content, code in ((b"no content", 10), (sound, 0)):
        store.database.write(partial(_execute, schema.revisions.update().where(last).values(content=content)))
        assert run("export", "--format", format_, "--output", str(path))[0] == code
        assert path.exists() == (code == 0)
    code, _, err = run("export", "--format", format_, "--json")
    assert code == (0 if format_ == "jsonl" else 2), err


def test_verify_says_what_differs(run: Run, store: Store) -> None:
    assert run("seal")[0] == 0
    code, out, _ = run("verify")
    assert (code, out.startswith("all fits: "), len(out.splitlines())) == (0, True, 1)
    store.database.write(lambda connection: connection.execute(schema.totals.update().values(whole=7)))
    code, _, err = run("verify")
    assert (code, err.startswith("differs: ")) == (1, True)
    (told,) = objects(run("verify", "--json")[1])
    assert told["difference"]["where"]


def test_pruned_runs_leave_sums_seals_and_counts(run: Run, store: Store) -> None:
    run("report", "--run-id", "ticket-1", "--success", "--idempotency-key", "k")
    before, series = store.status(0), store.series()
    deliver_all(store, but=2)
    assert "11 runs" in run("prune", "--older-than", "1d", "--dry-run")[1]
    code, out, _ = run("prune", "--older-than", "1d")
    assert (code, "11 runs" in out, "1 as old stay" in out) == (0, True, True)
    after = store.status(0)
    assert (after.accepted, after.runs, after.waiting) == (before.accepted, before.runs, 1)
    assert after.delivered == before.accepted - 1
    assert store.series() == series
    assert verify(store).difference is None
    code, out, _ = run("verify")
    assert (code, out.splitlines()[1:]) == (
        0,
        ["not checked is what 12 pruned revisions and pauses have posted: their contents are gone"],
    )
    (told,) = objects(run("verify", "--json")[1])
    assert (told["pruned"], told["difference"]) == (12, None)
    assert "pruned" in run("show", "ticket-1")[1]
    store.accept([pending(1, run_id="ticket-1")])
    assert store.series() == series


def test_of_pruned_runs_their_names_and_states_are_known(run: Run, store: Store) -> None:
    """Whoever filters by agent misses none, and what nobody has reported is not told as reported."""
    run("report", "--run-id", "ticket-4", "--success")
    before = {each["run_id"]: (each["agent_name"], each["status"], each["state"]) for each in listed(run)}
    exported = {(each["outcome_id"], each["revision"]) for each in objects(run("export", "--agent", "support")[1])}
    deliver_all(store)
    assert run("prune", "--older-than", "0s")[0] == 0
    assert {each["run_id"]: (each["agent_name"], each["status"], each["state"]) for each in listed(run)} == before
    left = objects(run("export", "--agent", "support")[1])
    assert {(each["outcome_id"], each["revision"]) for each in left} == exported
    assert [each["state"] for each in listed(run, "--state", "reported")] == ["reported"]


def listed(run: Run, *arguments: str) -> list[dict[str, Any]]:
    return objects(run("list", "--json", *arguments)[1])


@pytest.mark.parametrize("form", ["{:032x}", "{:032X}", "{:032x}-0000000000000001", "{}", "run {:032x}"])
def test_a_run_is_shown_by_its_own_id_whatever_its_form(run: Run, store: Store, form: str) -> None:
    own = form.format(uuid.uuid4().int)
    store.accept([pending(501, run_id=own)])
    code, out, _ = run("show", own, "--json")
    assert code == 0
    (found,) = objects(out)
    assert (found["run_id"], found["outcome_id"]) == (own, pending(501).run.id)


@pytest.mark.parametrize("form", ["{:032x}", "{}"])
def test_several_runs_of_one_own_id_are_told_as_such_whatever_its_form(run: Run, store: Store, form: str) -> None:
    own = form.format(uuid.uuid4().int)
    store.accept([pending(501, run_id=own), pending(502, run_id=own)])
    code, _, err = run("show", own)
    assert (code, err.split(":")[0]) == (OF_REFUSAL[RefusalCode.RUN_AMBIGUOUS], "RUN_AMBIGUOUS")


@pytest.mark.parametrize(("first", "then"), list(itertools.permutations(Policy, 2)))
def test_the_policy_is_that_of_the_moment(run: Run, store: Store, first: Policy, then: Policy) -> None:
    """Another process has changed it meanwhile: what is open here goes by the new one at once."""
    for policy, ticket in ((first, "ticket-5"), (then, "ticket-6")):
        kept = schema.meta.delete().where(schema.meta.c.name == "policy")
        added = schema.meta.insert().values(name="policy", value=policy.value)
        for statement in (kept, added):
            store.database.write(partial(_execute, statement))
        assert run("report", "--run-id", ticket, "--success")[0] == 0
        changed = run("report", "--run-id", ticket, "--no-success")[0] == 0
        assert changed == (policy is Policy.LATEST)
        assert store.status().policy == policy.value


def _execute(statement: Executable, connection: Connection) -> None:
    connection.execute(statement)


def test_dead_letters_are_listed_and_sent_once_more(run: Run, store: Store) -> None:
    dead = {"state": "dead", "reason": "refused", "message": "body: \x1b[2Jno"}
    chosen = schema.deliveries.update().where(schema.deliveries.c.id <= 3).values(dead)
    store.database.write(lambda connection: connection.execute(chosen))
    letters = objects(run("dead-letters", "--json")[1])
    assert [letter["message"] for letter in letters] == ["body: \x1b[2Jno"] * 3
    code, out, _ = run("dead-letters")
    assert (code, "\x1b" in out, "refused" in out) == (0, False, True)
    assert "1 dead letters" in run("dead-letters", "--retry", "--id", str(letters[0]["id"]))[1]
    assert "2 dead letters" in run("dead-letters", "--retry")[1]
    assert store.status(0).dead == ()


@pytest.mark.parametrize(
    "arguments", [("list",), ("show", HOSTILE), ("status",), ("report", "--run-id", HOSTILE, "--success")]
)
def test_nothing_that_telemetry_says_moves_a_cursor(run: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert code == 0
    assert all(line.isprintable() or "\t" in line for line in (out + err).splitlines())
    assert "\x1b" not in out + err


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"postgresql://me:{SECRET}@127.0.0.1:1/outcomes", 9),
        (f"postgresql://me:{SECRET}@127.0.0.1:nowhere/outcomes", 2),
        (f"mysql://me:{SECRET}@127.0.0.1/outcomes", 2),
        ("sqlite:////no/such/folder/outcomes.db", NO_LEDGER),
        ("sqlite:////dev", NO_LEDGER),
        ("outcomes.db", 2),
        ("", 2),
    ],
)
def test_a_ledger_that_cannot_be_used_is_one_line_without_a_password(
    capfd: pytest.CaptureFixture[str], url: str, code: int
) -> None:
    for command in (["status"], ["verify"], ["export"], ["report", "--no-retry", "--run-id", "a", "--success"]):
        assert main(["ledger", *command, "--ledger", url]) in {code, OF_REFUSAL["INVALID_REPORT"]}  # type: ignore[index]
        said = capfd.readouterr()
        assert not said.out
        assert len(said.err.splitlines()) == 1
        assert SECRET not in said.err


def test_no_ledger_named_says_what_to_set(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AGENT_OUTCOMES_LEDGER", raising=False)
    assert main(["ledger", "status"]) == 2
    assert "AGENT_OUTCOMES_LEDGER" in capfd.readouterr().err


def test_looking_makes_no_ledger(tmp_path: Path) -> None:
    for command in (["status"], ["list"], ["verify"], ["report", "--no-retry", "--run-id", "a", "--success"]):
        assert main(["ledger", *command, "--ledger", f"sqlite:///{tmp_path}/none.db"]) != 0
    assert [*tmp_path.iterdir()] == []


WORDS: Final = st.one_of(
    st.sampled_from(
        [
            "",
            "-1",
            "1e3",
            "nan",
            "7d",
            "2026-13-45",
            "--",
            "ticket-1",
            "USD",
            "usd ",
            "{}",
            "[1]",
            "\x00",
            "\ud800",
            "0" * 400,
        ]
    ),
    st.text(max_size=30),
)
OPTIONS: Final = {
    "report": ("--run-id", "--trace-id", "--outcome-id", "--type", "--label", "--value", "--currency", "--message",
               "--metadata", "--status", "--if-revision", "--reason", "--reported-by", "--idempotency-key"),
    "cost": ("--run-id", "--trace-id", "--amount", "--currency", "--kind", "--reason", "--idempotency-key"),
    "list": ("--state", "--agent", "--since", "--until", "--limit"),
    "export": ("--format", "--since", "--until", "--agent"),
    "prune": ("--older-than",),
    "dead-letters": ("--id",),
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "option"),
    [
        *((command, option) for command in ("list", "export") for option in ("--since", "--until")),
        ("prune", "--older-than"),
        ("list", "--limit"),
        ("dead-letters", "--id"),
        ("report", "--if-revision"),
    ],
)
def test_numbers_and_times_of_any_size_are_taken_or_refused(run: Run, command: str, option: str) -> None:
    """Those past all that is kept are no bound, or the last moment."""
    named = ("--run-id=ticket-1", "--success", "--no-retry") if command == "report" else ()
    dry = ("--dry-run",) if command == "prune" else ()
    extremes = (*(str(2**bits + more) for bits in (31, 32, 63, 64) for more in (-1, 0)), "٣", "9999999w", "999999w")
    for given_text in (*extremes, "2262-04-11", "2262-04-12", "9999-12-31", "9999-12-31T23:59:59-23:59", "1970-01-01"):
        code, _, err = run(command, *named, *dry, f"{option}={given_text}")
        assert code in {0, 1, *OF_REFUSAL.values()}, (given_text, err)
        assert "Traceback" not in err


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_given_ends_with_a_listed_code_and_no_traceback(
    run: Run, store: Store, data: st.DataObject
) -> None:
    command = data.draw(st.sampled_from([*OPTIONS]))
    given_options = data.draw(st.dictionaries(st.sampled_from(OPTIONS[command]), WORDS, max_size=4))
    arguments = [f"{name}={value}" for name, value in given_options.items()]
    if command == "report":
        arguments.append("--success")
    if command in {"report", "cost"}:
        arguments.append("--no-retry")
    code, _, err = run(command, *arguments)
    assert code in {0, 1, *OF_REFUSAL.values(), NO_LEDGER}
    assert "Traceback" not in err
    assert code == 0 or err.strip()
    assert verify(store).difference is None


def test_the_command_itself_runs_and_imports_no_database_for_others(tmp_path: Path) -> None:
    environ = {**os.environ, "AGENT_OUTCOMES_LEDGER": f"sqlite:///{tmp_path}/outcomes.db"}
    Store.open(read_location(environ["AGENT_OUTCOMES_LEDGER"])).close()
    command = [sys.executable, "-m", "agent_outcomes", "ledger"]
    for name in ("status", "list", "verify", "seal", "dead-letters", "export"):
        done = subprocess.run([*command, name], capture_output=True, env=environ, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    for name in ("report", "cost", "list", "show", "export", "verify", "prune", "deliver", "status"):
        done = subprocess.run([*command, name, "--help"], capture_output=True, timeout=60, check=True)
        assert b"examples:" in done.stdout
        assert b"exit codes:" in done.stdout
    loaded = "import sys, agent_outcomes.cli as c; c._parser([]); print({'sqlalchemy', 'rich'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, timeout=60, check=True)
    assert done.stdout.strip() == b"set()"
