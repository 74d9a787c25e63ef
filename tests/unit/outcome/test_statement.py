# SPDX-License-Identifier: Apache-2.0
"""Reading a statement: typed, bounded, total, and nothing lost without being listed."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.amounts import parse_amount, parse_currency
from agent_outcomes.outcome.attribute_reader import PROBLEMS_MAX, AttributeReader, Problem, SpanLimits
from agent_outcomes.outcome.keywords import STATED_ATTRIBUTES, Stated, stated_attributes
from agent_outcomes.outcome.statement import NOTHING_STATED, read_statement
from agent_outcomes.outcome.text import encodable, short_text
from agent_outcomes.semconv import CostKind, OutcomeType, ProblemKind, Source, Status
from tests.hostile import HOSTILE_ATTRIBUTES, JUNK, LoudFloat, LoudInt, LoudObject, LoudText, StatusEnum, armed, nested

TEXT_FIELDS = ("label", "message", "error_category", "job_type", "run_id", "evidence")


def problems_of(attributes: dict[str, Any], limit: int | None = None) -> list[str]:
    return [str(problem) for problem in read_statement(attributes, SpanLimits(limit)).problems]


def test_nothing_stated() -> None:
    """Attributes of others state nothing."""
    statement = read_statement({"http.route": "/", "agent.outcomes": 1, "": 2})
    assert statement == NOTHING_STATED
    assert not statement.is_reported


@pytest.mark.parametrize(
    ("attributes", "reported"),
    [
        ({"agent.outcome.success": False}, True),
        ({"agent.outcome.type": "custom"}, True),
        ({"agent.outcome.label": "x"}, True),
        ({"agent.outcome": "x"}, True),
        ({"agent.outcome.value": 0}, True),
        ({"agent.outcome.status": "handed_off"}, True),
        ({"agent.outcome.status": "success"}, False),
        ({"agent.outcome.cost": 1, "agent.outcome.message": "m", "agent.outcome.job_type": "j"}, False),
        ({"agent.outcome.value": "many"}, False),
    ],
)
def test_reported(attributes: dict[str, Any], *, reported: bool) -> None:
    """A success, type, label or value makes an outcome reported, nothing else does."""
    assert read_statement(attributes).is_reported is reported


def test_enum_members_count_as_their_values() -> None:
    """A str-enum of the user's own is read as what it holds, not as what it shows."""
    statement = read_statement(
        {
            "agent.outcome.status": StatusEnum.FAILED,
            "agent.outcome.type": OutcomeType.CONVERTED,
            "agent.outcome.label": StatusEnum.OK,
        }
    )
    assert statement.status is not None
    assert statement.status.status is Status.FAILURE
    assert (statement.type, statement.label) == (OutcomeType.CONVERTED, "ok")
    assert type(statement.label) is str


def test_loud_texts_count_as_their_values() -> None:
    """A text whose methods raise is read as what it holds."""
    statement = read_statement({"agent.outcome.label": LoudText("fine"), "agent.outcome.value": LoudText("2.5")})
    assert (statement.label, statement.value, statement.problems) == ("fine", Decimal("2.5"), ())


@pytest.mark.parametrize(
    ("value", "source"),
    [("inferred", Source.INFERRED), ("explicit", None), ("INFERRED", None), (1, None), (None, None)],
)
def test_source(value: object, source: Source | None) -> None:
    """A helper's word that it inferred the status is honored; explicit is what a statement is anyway."""
    assert read_statement({"agent.outcome.source": value}).source is source


@pytest.mark.parametrize("field", TEXT_FIELDS)
@pytest.mark.parametrize(
    "value", [7, 1.5, True, b"x", ["x"], {"x": 1}, LoudObject()], ids=lambda value: type(value).__name__
)
def test_text_of_another_kind_is_refused(field: str, value: object) -> None:
    """Only text is text."""
    key = STATED_ATTRIBUTES.get(field, f"agent.outcome.{field}")
    statement = read_statement({key: value})
    assert getattr(statement, field) is None
    assert statement.problems == (Problem(ProblemKind.INVALID_TEXT, key),)
    assert len(statement.refused) == 1


def test_overlong_texts() -> None:
    """Long text is shortened and listed; a key to look up by is refused instead."""
    attributes = {
        "agent.outcome.label": "l" * 257,
        "agent.outcome.message": "m" * 4097,
        "agent.outcome.run_id": "r" * 257,
    }
    statement = read_statement(attributes)
    assert (statement.label, statement.message, statement.run_id) == ("l" * 256, "m" * 4096, None)
    assert [str(problem) for problem in statement.problems] == [
        "text_truncated:agent.outcome.label",
        "text_truncated:agent.outcome.message",
        "text_truncated:agent.outcome.run_id",
    ]
    fitting = {"agent.outcome.label": "l" * 256, "agent.outcome.run_id": "r" * 256}
    assert read_statement(fitting).problems == ()


def test_surrogates_are_repaired_and_listed() -> None:
    """Half a character, which OTLP cannot carry, becomes a question mark."""
    statement = read_statement({"agent.outcome.label": "a\ud800b"})
    assert statement.label == "a?b"
    assert statement.problems == (Problem(ProblemKind.TEXT_REPAIRED, "agent.outcome.label"),)


def test_limit_is_of_what_may_have_been_cut() -> None:
    """Text shorter than the provider's limit is whole, text as long as it is not believed."""
    assert read_statement({"agent.outcome.label": "abc"}, SpanLimits(4)).label == "abc"
    assert read_statement({"agent.outcome.label": "abcd"}, SpanLimits(4)).label is None
    assert problems_of({"agent.outcome.success": "true"}, 4) == ["text_truncated:agent.outcome.success"]
    assert problems_of({"agent.outcome.type": "lost"}, 4) == ["text_truncated:agent.outcome.type"]
    assert problems_of({"agent.outcome.metadata.k": "abcd"}, 4) == ["text_truncated:agent.outcome.metadata.k"]


@pytest.mark.parametrize("key", ["agent.outcome.currency", "agent.outcome.cost_currency"])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_currency_that_may_have_been_cut_is_none(key: str, limit: int) -> None:
    """USDT cut to three letters would be US dollars: at such a limit the amount is refused with its currency."""
    amount = key.replace("_currency", "").replace("currency", "value")
    statement = read_statement({amount: 5.0, key: "USDT"[:limit]}, SpanLimits(limit))
    assert (statement.value, statement.cost) == (None, None)
    assert [str(problem) for problem in statement.problems] == [f"text_truncated:{key}", f"invalid_currency:{amount}"]


def test_currency_shorter_than_the_limit_is_whole() -> None:
    """A limit of four cannot have cut three letters."""
    statement = read_statement({"agent.outcome.value": 5, "agent.outcome.currency": "EUR"}, SpanLimits(4))
    assert (statement.value, statement.currency, statement.problems) == (Decimal(5), "EUR", ())


@pytest.mark.parametrize(
    ("attributes", "metadata"),
    [
        ({"agent.outcome.metadata": '{"a": 1}'}, {"a": 1}),
        ({"agent.outcome.metadata": {"a": 1, "b": [True, None]}}, {"a": 1, "b": [True, None]}),
        ({"agent.outcome.metadata.a": 1, "agent.outcome.metadata.b.c": "x"}, {"a": 1, "b.c": "x"}),
        ({"agent.outcome.metadata": '{"a": 1}', "agent.outcome.metadata.b": 2}, {"a": 1, "b": 2}),
        ({"agent.outcome.metadata": {"a": 1}, "agent.outcome.metadata.a": 2}, {"a": 2}),
        ({"agent.outcome.metadata": "null", "agent.outcome.metadata.a": 2}, {"a": 2}),
        ({"agent.outcome.metadata": ["a"], "agent.outcome.metadata.a": 2}, {"": ["a"], "a": 2}),
        (
            {"agent.outcome.metadata": {"a": b"x", "b": 2**300, "c": float("nan")}},
            {"a": "<bytes>", "b": "<int>", "c": "nan"},
        ),
        (
            {"agent.outcome.metadata": {"a": LoudFloat(1.5), "b": LoudInt(3), "c": LoudText("x")}},
            {"a": 1.5, "b": 3, "c": "x"},
        ),
        ({"agent.outcome.metadata": "[1, 2]"}, [1, 2]),
    ],
)
def test_metadata(attributes: dict[str, Any], metadata: object) -> None:
    """Free context in any form becomes one JSON text."""
    statement = read_statement(attributes)
    assert json.loads(statement.metadata or "") == metadata
    assert statement.problems == ()


def test_metadata_of_no_use() -> None:
    """What cannot be one JSON text of bounded length is listed."""
    assert problems_of({"agent.outcome.metadata": "{"}) == ["invalid_metadata:agent.outcome.metadata"]
    assert problems_of({"agent.outcome.metadata": "9" * 16385}) == ["text_truncated:agent.outcome.metadata"]
    assert problems_of({f"agent.outcome.metadata.{n}": n for n in range(40)}) == [
        "invalid_metadata:agent.outcome.metadata"
    ]
    assert problems_of({"agent.outcome.metadata": {str(n): "x" * 4000 for n in range(9)}}) == [
        "invalid_metadata:agent.outcome.metadata"
    ]
    assert read_statement({"agent.outcome.metadata": nested()}).metadata is not None
    assert problems_of({"agent.outcome.metadata": "[" * 10000}) == ["invalid_metadata:agent.outcome.metadata"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**255), 2**255) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from([128, 129, 4096, 4097]).map("x".__mul__),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text("ab", max_size=2) | st.sampled_from(["k" * 128, "k" * 129]), inner, max_size=3)
    | st.builds(lambda value, count: [value] * count, inner, st.sampled_from([32, 33]))
    | st.builds(lambda value, depth: nested(depth, leaf=value), inner, st.integers(5, 10)),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), JSON_VALUES, max_size=34))
def test_metadata_is_whole_or_the_cut_is_listed(given_metadata: dict[str, Any]) -> None:
    """As attribute and as argument; the loss of a text's end, of items, keys and levels is told with the key."""
    for attributes in ({"agent.outcome.metadata": given_metadata}, stated_attributes({"metadata": given_metadata})):
        statement = read_statement(attributes)
        if not statement.problems:
            assert json.loads(statement.metadata or "{}") == given_metadata
        problems = [str(problem) for problem in statement.problems]
        for key, value in list(given_metadata.items())[:32]:
            if isinstance(value, str) and len(value) > 4096 and statement.metadata is not None:
                assert f"text_truncated:agent.outcome.metadata.{key}" in problems or len(problems) > PROBLEMS_MAX
        assert ("invalid_metadata:agent.outcome.metadata" in problems) >= (len(given_metadata) > 32)


def test_metadata_that_holds_one_list_many_times_is_refused_at_once() -> None:
    """Its values are more than there is time for, whatever little memory they take."""
    wide: object = 1
    for _ in range(8):
        wide = [wide] * 32
    for metadata in ({"wide": wide}, {str(number): wide for number in range(32)}):
        assert problems_of({"agent.outcome.metadata": metadata}) == ["invalid_metadata:agent.outcome.metadata"]
        statement = read_statement(stated_attributes({"metadata": metadata}))
        assert json.loads(statement.metadata or "") == "<dict>"
        assert statement.problems


def test_problems_are_bounded() -> None:
    """However many slips there are, so many are listed and one entry says that there were more."""
    statement = read_statement({f"agent.outcome.slip{n}": 1 for n in range(100)})
    assert len(statement.problems) == PROBLEMS_MAX + 1
    assert statement.problems[-1].kind is ProblemKind.TOO_MANY_PROBLEMS


def test_own_output_is_no_slip() -> None:
    """Attributes that are written and not read are no slips when they are met again."""
    written = ["id", "revision", "supersedes", "state", "remedy", "raw_status", "problems", "refused", "value_decimal"]
    assert problems_of({f"agent.outcome.{name}": "x" for name in written}) == []


@pytest.mark.parametrize("sequence", [list, tuple])
def test_what_was_found_before_is_taken_over(sequence: Any) -> None:
    """Problems and refused values that stand on the span are listed after those found there, each once."""
    attributes = {
        "agent.outcome.value": "a lot",
        "agent.outcome.problems": sequence(["invalid_amount:agent.outcome.value", "text_repaired:agent.outcome.label"]),
        "agent.outcome.refused": sequence(["agent.outcome.value=a lot", "agent.outcome.retryable=perhaps"]),
    }
    statement = read_statement(attributes)
    assert problems_of(attributes) == ["invalid_amount:agent.outcome.value", "text_repaired:agent.outcome.label"]
    assert statement.refused == ("agent.outcome.value=a lot", "agent.outcome.retryable=perhaps")


@pytest.mark.parametrize("given", [5, "invalid_amount", {"a": 1}, ["sideways", 7, None, ""], [LoudObject()], b"x"])
def test_what_nobody_can_have_found_is_not_taken_over(given: Any) -> None:
    """Only problems of a known kind are."""
    assert problems_of({"agent.outcome.problems": given, "agent.outcome.status": "success"}) == []


def test_what_may_have_been_cut_of_a_problem_is_listed() -> None:
    """A provider's limit on texts holds for each text of a list."""
    problem = "invalid_amount:agent.outcome.value"
    for limit, listed in ((len(problem) + 1, problem), (len(problem), "text_truncated:agent.outcome.problems")):
        assert problems_of({"agent.outcome.problems": [problem[:limit]]}, limit) == [listed]


@given(JUNK, JUNK)
def test_taking_over_is_total_and_bounded(problems: object, refused: object) -> None:
    """Whatever stands there."""
    many = {"agent.outcome.problems": [armed(problems)] * 99, "agent.outcome.refused": [armed(refused)] * 99}
    for attributes in (many, {key: values[0] for key, values in many.items()}):
        statement = read_statement(attributes)
        assert len(statement.problems) <= PROBLEMS_MAX + 1
        assert len(statement.refused) <= PROBLEMS_MAX
        assert all(text.encode() for text in statement.refused)


def test_stated_attributes() -> None:
    """The Python API's keywords are the attributes of their names, and what is `None` was not stated."""
    stated = Stated(status="ok", success=True, value="49.90", currency="EUR", label=None, metadata={"a": 1})
    assert stated_attributes(stated) == {
        "agent.outcome.status": "ok",
        "agent.outcome.success": True,
        "agent.outcome.value": "49.90",
        "agent.outcome.currency": "EUR",
        "agent.outcome.metadata": {"a": 1},
    }
    assert set(STATED_ATTRIBUTES) == set(Stated.__annotations__)


def test_unknown_keyword() -> None:
    """A keyword that is no field is the caller's slip, and the message names those that are."""
    with pytest.raises(TypeError, match="'lable'; expected one of status, success"):
        stated_attributes({"lable": "x"})  # type: ignore[arg-type]  # as a slip would be


def test_cost_kind() -> None:
    """A metered cost's kind is a word of the table, other if none is given, and other and listed if it is unknown."""
    assert AttributeReader({"agent.cost.kind": "Human"}).cost_kind() is CostKind.HUMAN
    assert AttributeReader({}).cost_kind() is CostKind.OTHER
    reader = AttributeReader({"agent.cost.kind": 5})
    assert reader.cost_kind() is CostKind.OTHER
    assert reader.problems == [Problem(ProblemKind.UNKNOWN_KIND, "agent.cost.kind")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        ("x" * 200, "x" * 128),
        ("\ud800", "?"),
        (12, "12"),
        (LoudInt(12), "12"),
        (2**256, "<int>"),
        (1.5, "1.5"),
        (LoudFloat(1.5), "1.5"),
        (Decimal("1.50"), "1.50"),
        (None, "<NoneType>"),
        (b"x", "<bytes>"),
        (LoudObject(), "<LoudObject>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_short_text(value: object, text: str) -> None:
    """A refused value leaves short text behind, of anything but a scalar only its type's name."""
    assert short_text(value) == text


@given(st.text(st.characters(), max_size=50), st.integers(0, 60))
def test_encodable(text: str, length: int) -> None:
    """Encodable text is that long at most, encodes, and is the text itself where that encodes."""
    made = encodable(text, length)
    assert len(made) <= length
    assert made.encode().decode() == made
    assert made.replace("?", "") == "".join(
        char for char in text[:length] if char != "?" and not "\ud800" <= char <= "\udfff"
    )


@given(HOSTILE_ATTRIBUTES, st.none() | st.integers(0, 40))
def test_total_and_deterministic(attributes: dict[str, Any], limit: int | None) -> None:
    """No attributes raise, the same ones always give the same statement, and all of it is bounded and encodes."""
    attributes = armed(attributes)
    statement = read_statement(attributes, SpanLimits(limit))
    assert read_statement(attributes, SpanLimits(limit)) == statement
    for field in (*TEXT_FIELDS, "metadata", "raw_status"):
        text = getattr(statement, field)
        if text is not None:
            assert type(text) is str
            assert len(text.encode()) <= 6 * 16384 + 2
    assert len(statement.problems) <= PROBLEMS_MAX + 1
    assert len(statement.refused) <= PROBLEMS_MAX
    assert all(text.encode() for text in statement.refused)
    assert all(str(problem).encode() for problem in statement.problems)


@given(HOSTILE_ATTRIBUTES, st.none() | st.integers(0, 40))
def test_nothing_is_lost_in_silence(attributes: dict[str, Any], limit: int | None) -> None:
    """Every stated attribute is taken as it was or named among the problems."""
    attributes = armed(attributes)
    statement = read_statement(attributes, SpanLimits(limit))
    listed = {problem.attribute for problem in statement.problems}
    full = len(statement.problems) > PROBLEMS_MAX
    for field in ("success", "type", "value", "cost", "retryable", "run_id"):
        key = STATED_ATTRIBUTES[field]
        given_value = attributes.get(key)
        if given_value is None or (field == "run_id" and isinstance(given_value, str) and not str.__len__(given_value)):
            continue
        assert getattr(statement, field) is not None or key in listed or full


@given(JUNK, st.none() | JUNK)
def test_amount_is_exact_or_listed(value: object, currency: object) -> None:
    """An amount comes out to the last digit, in the currency stated, or is listed."""
    value, currency = armed(value), armed(currency)
    attributes = {"agent.outcome.value": value, "agent.outcome.currency": currency}
    statement = read_statement(attributes)
    if statement.value is not None:
        assert statement.value == parse_amount(value)
        assert statement.currency == ("USD" if currency is None else parse_currency(currency))
    elif value is not None:
        assert "agent.outcome.value" in {problem.attribute for problem in statement.problems}
