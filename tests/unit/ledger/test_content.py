# SPDX-License-Identifier: Apache-2.0
"""What is stored of a revision comes back exactly, whatever was in it, and is the same bytes for the same content."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.ledger.book.content import CONTENT_VERSION, Content, ContentError, encode_content, read_content
from agent_outcomes.ledger.book.revisions import first_revision
from agent_outcomes.outcome.model import Outcome
from agent_outcomes.record.record import record
from agent_outcomes.run.normalize import normalize
from agent_outcomes.semconv import Change
from tests.cases import Case, load_cases, pure_input
from tests.ledger_facts import OUTCOMES, POSTINGS, RUNS, TEXTS_OR_NONE, a_run, accepted

CONTENTS = st.builds(
    Content,
    RUNS,
    OUTCOMES,
    st.integers(0, 2**31),
    st.none() | st.sampled_from(Change),
    st.integers(0, 2**64),
    TEXTS_OR_NONE,
    TEXTS_OR_NONE,
    st.lists(POSTINGS, max_size=4).map(tuple),
)
CASES = [case for case in load_cases() if not case.span.children and case.expected.emits]


def digits(content: Content) -> list[object]:
    """Every decimal in it by its digits and its exponent: decimals compare equal that are written differently."""
    amounts = [content.outcome.value, *[part.amount for part in content.run.cost.parts]]
    amounts += [amount for *_, amount in content.postings if isinstance(amount, Decimal)]
    return [None if amount is None else amount.as_tuple() for amount in amounts]


@given(CONTENTS)
def test_round_trip_is_exact(content: Content) -> None:
    """Every text, lone surrogates too, every digit and exponent, every number of any size, and what kind it was."""
    stored = encode_content(content)
    read = read_content(stored)
    assert read == content
    assert digits(read) == digits(content)
    assert [type(amount) for *_, amount in read.postings] == [type(amount) for *_, amount in content.postings]
    assert encode_content(read) == stored


@given(CONTENTS)
def test_content_is_canonical(content: Content) -> None:
    """ASCII, keys in order, no blanks, nothing absent; and so the bytes are those of any other canonical writer."""
    stored = encode_content(content)
    assert stored.isascii()
    again = json.dumps(json.loads(stored), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert again.encode() == stored
    assert b":null" not in stored


@given(CONTENTS, CONTENTS)
def test_different_contents_are_different_bytes(one: Content, other: Content) -> None:
    """No two contents share their bytes, nor two decimals that are written differently."""
    is_same = one == other and digits(one) == digits(other)
    assert (encode_content(one) == encode_content(other)) == is_same


@given(st.binary(max_size=60) | st.recursive(st.none() | st.text(max_size=5), st.lists).map(json.dumps).map(str.encode))
def test_what_is_no_content_is_said_so(junk: bytes) -> None:
    """Never anything but `ContentError`."""
    with pytest.raises(ContentError):
        read_content(junk)


@given(CONTENTS, st.data())
def test_damaged_content_is_read_or_refused(content: Content, data: st.DataObject) -> None:
    """A byte that was changed gives another content or `ContentError`."""
    stored = bytearray(encode_content(content))
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] = data.draw(st.integers(0, 127).filter(lambda byte: byte != stored[at]))
    try:
        read = read_content(bytes(stored))
    except ContentError:
        return
    assert bytes(stored) != encode_content(content)
    assert isinstance(read, Content)


def test_another_version_is_named() -> None:
    """What a newer program has written is not guessed at."""
    run = a_run()
    fields = json.loads(first_revision(accepted(run, Outcome.success())).content)
    with pytest.raises(ContentError, match=f"version 7; this program reads {CONTENT_VERSION}"):
        read_content(json.dumps({**fields, "v": 7}).encode())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_case_has_the_same_event_and_postings(case: Case) -> None:
    """The first revision in the ledger is what the run emits without one, and is stored exactly."""
    run, outcome = normalize(*pure_input(case))
    made = record(run, outcome)
    revision = first_revision(accepted(run, outcome))
    assert revision.record == made
    assert read_content(revision.content) == Content(run, outcome, 0, None, run.end_ns, None, None, made.postings)


def test_content_of_a_version_before_can_be_read() -> None:
    """Bytes as they were first written: the form is never changed without another version."""
    stored = (
        b'{"outcome":{"currency":"EUR","evidence":"stated","label":"sold","message":{"utf8":"eda080"},'
        b'"problems":[["invalid_amount","agent.outcome.cost"]],"refused":["agent.outcome.cost=x"],"remedy":"none",'
        b'"retryable":false,"source":"explicit","status":"success","type":"converted","business_success":true,'
        b'"value":"50.00"},"postings":[["agent.outcomes",["support",null,"success","converted",true,"sold"],1],'
        b'["agent.outcome.value",["support",null,"success","converted",true,"sold","EUR"],"50.00"]],'
        b'"reported_at_ns":2000,"reported_by":"crm","reason":"paid","change":"reported","revision":1,'
        b'"run":{"agent_name":"support","cost":[["llm","USD","0.10"]],"cost_complete":true,"cost_source":"reported",'
        b'"duration_s":1.5,"end_ns":1000,"run_id":"t-1","span_id":"00000000000000b2","trace_flags":1,'
        b'"trace_id":"000000000000000000000000000000a1","usage":{"input_tokens":{"hex":"20000000000001"}}},"v":1}'
    )
    content = read_content(stored)
    assert (content.revision, content.change, content.reported_by, content.reason) == (1, "reported", "crm", "paid")
    assert (content.run.id, content.run.usage.input_tokens) == (f"{0xA1:032x}-{0xB2:016x}", 2**53 + 1)
    assert (str(content.outcome.value), content.outcome.message) == ("50.00", "\ud800")
    assert json.loads(encode_content(content)) == json.loads(stored)
