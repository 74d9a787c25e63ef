# SPDX-License-Identifier: Apache-2.0
"""Verdicts: rules are read or refused with the fix, and evaluations become reports only where a rule says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.signals.span_reports import reports_of_span
from agent_outcomes.gateway.signals.verdict_rules import (
    Evaluation,
    LabelRule,
    PassRule,
    ScoreRule,
    VerdictError,
    parse_verdicts,
)
from agent_outcomes.gateway.signals.verdicts import EVALUATIONS_MAX, Ignored, report_of_record
from agent_outcomes.gateway.wire.messages import WireLink, WireLogRecord, WireSpan
from agent_outcomes.ledger.book.reports import LateReport, RunReference

pytestmark = pytest.mark.backends
TRACE, SPAN = bytes(range(16)), bytes(range(8))
OTHER = WireLink(b"t" * 16, b"s" * 8, {})
OTHER_ID = f"{OTHER.trace_id.hex()}-{OTHER.span_id.hex()}"
OWN_ID = f"{TRACE.hex()}-{SPAN.hex()}"
RULES = parse_verdicts(["relevance=score>=0.8", "hallucination=label:factual|OK", "approved=pass"])
WORDS = st.text(st.characters(exclude_characters="=|", codec="utf-8"), min_size=1).filter(
    lambda text: text.strip() == text
)


def record(**attributes: Any) -> WireLogRecord:
    named = {f"gen_ai.evaluation.{key.replace('__', '.')}": value for key, value in attributes.items()}
    return WireLogRecord("gen_ai.evaluation.result", 5, 6, TRACE, SPAN, 1, None, named)


def span(attributes: dict[str, Any], *links: WireLink) -> WireSpan:
    return WireSpan(TRACE, SPAN, name="judge", attributes=attributes, links=links)


def flat(noun: str, *, scope: str = "", place: int = 0, **fields: Any) -> dict[str, Any]:
    return {f"{scope}{noun}s.{place}.{noun}.{key}": value for key, value in fields.items()}


def read(found: LateReport | Ignored) -> LateReport:
    assert isinstance(found, LateReport)
    return found


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a=score>=0.8", ScoreRule(">=", 0.8)),
        (" a b = score < -1.5e3 ", ScoreRule("<", -1500.0)),
        ("a=score=1", ScoreRule("=", 1.0)),
        ("a=score>.5", ScoreRule(">", 0.5)),
        ("a=label:Factual | ok", LabelRule(frozenset({"factual", "ok"}))),
        ("a=label:a=b", LabelRule(frozenset({"a=b"}))),
        ("a=pass", PassRule()),
    ],
)
def test_a_rule_is_read(text: str, rule: object) -> None:
    """Blanks do not matter."""
    assert list(parse_verdicts([text]).values()) == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "relevance",
        "=pass",
        "a=",
        "a=passed",
        "a=score",
        "a=score>>1",
        "a=score>=",
        "a=score>=1e999",
        "a=score>=nan",
        "a=score>=0.8 ",
        "a=label:",
        "a=label:a||b",
        "a=label",
        "x" * 300 + "=pass",
    ],
)
def test_what_is_no_rule_is_refused_with_the_fix(text: str) -> None:
    """The message names what was given, cut short, and says how a rule is written."""
    if text == "a=score>=0.8 ":
        assert parse_verdicts([text])
        return
    with pytest.raises(VerdictError, match=r"verdict '.*write NAME=score>=0.8") as refused:
        parse_verdicts([text])
    assert len(str(refused.value)) < 400


def test_two_rules_for_one_evaluation_are_refused() -> None:
    """Which of them holds would be a guess."""
    with pytest.raises(VerdictError, match="another rule for 'a'"):
        parse_verdicts(["a=pass", "a = score>1"])
    with pytest.raises(VerdictError, match="more than"):
        parse_verdicts([f"a{number}=pass" for number in range(101)])


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """And nothing else happens."""
    try:
        assert len(parse_verdicts([text])) == 1
    except VerdictError as refused:
        assert "verdict" in str(refused)  # noqa: PT017 - either may happen


@given(WORDS, st.lists(WORDS, min_size=1, max_size=3), st.text())
def test_a_label_is_a_success_if_it_is_listed(name: str, labels: list[str], label: str) -> None:
    """In any case of its letters; a success is never read out of a label that is missing."""
    (rule,) = parse_verdicts([f"{name}=label:{'|'.join(labels)}"]).values()
    assert all(
        rule.judge(Evaluation(name, label=one.upper())) for one in labels if one.upper().casefold() == one.casefold()
    )
    assert rule.judge(Evaluation(name, label=label)) is (label.strip().casefold() in {one.casefold() for one in labels})
    assert rule.judge(Evaluation(name, score=1.0)) is None


@given(st.sampled_from([">=", "<=", ">", "<", "="]), st.floats(-1e6, 1e6), st.floats(allow_nan=True) | st.none())
def test_a_score_is_compared_as_it_is_written(comparison: str, bound: float, score: float | None) -> None:
    """With the very number in the rule; no score, and one that is no number, say nothing."""
    (rule,) = parse_verdicts([f"a=score{comparison}{bound!r}"]).values()
    judged = rule.judge(Evaluation("a", score))
    if score is None or score != score:  # noqa: PLR0124 - no number
        assert judged is None
    else:
        expected = {">=": score >= bound, "<=": score <= bound, ">": score > bound, "<": score < bound}
        assert judged is expected.get(comparison, score == bound)


@pytest.mark.parametrize(
    ("label", "score", "judged"),
    [
        ("pass", None, True),
        ("Passed", 0.0, True),
        ("fail", 1.0, False),
        ("invalid", None, False),
        (None, 1, True),
        (None, 0.0, False),
        (None, 0.5, None),
        ("likely", 1.0, None),
        ("partial", None, None),
        (None, None, None),
    ],
)
def test_pass_is_said_by_the_label_else_by_the_score(
    label: str | None,
    score: float | None,
    judged: bool | None,  # noqa: FBT001
) -> None:
    """A label of another kind says neither, whatever the score is."""
    assert PassRule().judge(Evaluation("a", score, label)) is judged


def test_an_evaluation_in_a_log_record_is_a_report_on_the_run_of_its_span() -> None:
    """With the verdict, the label, the explanation, and the same key however often it is sent."""
    event = record(name="relevance", score__value=0.9, score__label="relevant", explanation="to the point")
    report = read(report_of_record(event, "evaluator", RULES))
    stated = report.statement
    assert report.reference == RunReference(outcome_id=OWN_ID)
    assert (stated.success, stated.label, stated.message) == (True, "relevant", "to the point")
    assert (report.reporter.name, report.reporter.may_correct) == ("evaluation:relevance", False)
    assert read(report_of_record(event, "evaluator", RULES)) == report
    later = event._replace(time_ns=7)
    assert read(report_of_record(later, "evaluator", RULES)).idempotency_key != report.idempotency_key


@pytest.mark.parametrize(
    ("event", "scope", "ignored"),
    [
        (record(name="toxicity", score__value=1.0), "evaluator", Ignored.NO_RULE),
        (record(score__value=1.0), "evaluator", Ignored.NO_RULE),
        (record(name="relevance", score__label="relevant"), "evaluator", Ignored.NO_VERDICT),
        (record(name="relevance", score__value="0.9"), "evaluator", Ignored.NO_VERDICT),
        (record(name="relevance", score__value=0.9)._replace(trace_id=b"", span_id=b""), "evaluator", Ignored.NO_RUN),
        (record(name="relevance", score__value=0.9), "agent_outcomes", Ignored.OWN),
    ],
)
def test_what_is_no_verdict_is_ignored_by_reason(event: WireLogRecord, scope: str, ignored: Ignored) -> None:
    """No rule, no score, no run, or our own."""
    assert report_of_record(event, scope, RULES) is ignored


def test_a_log_record_may_name_its_run_otherwise() -> None:
    """By the user's own key, by the outcome's id, or by its trace alone."""
    event = record(name="relevance", score__value=0.1)
    by_key = event._replace(attributes={**event.attributes, "agent.outcome.run_id": "ticket-1"})
    by_id = event._replace(attributes={**event.attributes, "agent.outcome.id": OTHER_ID})
    references = [
        read(report_of_record(each, "s", RULES)).reference for each in (by_key, by_id, event._replace(span_id=b""))
    ]
    named = [RunReference(run_id="ticket-1"), RunReference(outcome_id=OTHER_ID), RunReference(trace_id=TRACE.hex())]
    assert references == named
    broken = event._replace(attributes={**event.attributes, "agent.outcome.id": "none"})
    assert report_of_record(broken, "s", RULES) is Ignored.REFUSED


@pytest.mark.parametrize("is_in_run", [True, False])
def test_an_annotation_is_of_the_span_that_carries_it(is_in_run: bool) -> None:  # noqa: FBT001
    """Whatever it links to."""
    attributes = flat("annotation", name="hallucination", label="Factual", identifier="judge-2", score=0)
    (report,) = reports_of_span(span(attributes, OTHER), RULES, is_in_run=is_in_run).reports
    assert (report.reference.outcome_id, report.statement.success) == (OWN_ID, True)


def test_an_evaluation_is_of_the_span_that_is_linked() -> None:
    """Whose child the evaluating span is says nothing; several links say too much."""
    attributes = flat("evaluation", name="approved", score=0, explanation="wrong")
    found = reports_of_span(span(attributes, OTHER, OTHER), RULES, is_in_run=False)
    assert [report.reference.outcome_id for report in found.reports] == [OTHER_ID]
    assert found.reports[0].statement.success is False
    assert reports_of_span(span(attributes), RULES, is_in_run=False).ignored == (Ignored.NO_RUN,)
    several = reports_of_span(span(attributes, OTHER, OTHER._replace(span_id=b"x" * 8)), RULES, is_in_run=False)
    assert several == ((), (Ignored.SEVERAL_RUNS,))


def test_evaluations_of_a_whole_trace_name_it() -> None:
    """The carrying span's, or the linked one's."""
    annotated = span(flat("annotation", scope="trace.", name="approved", label="pass"), OTHER)
    evaluated = flat("evaluation", scope="trace.", name="approved", label="pass")
    found = [
        reports_of_span(each, RULES, is_in_run=False).reports[0].reference
        for each in (annotated, span(evaluated, OTHER), span(evaluated))
    ]
    assert found == [RunReference(trace_id=one.hex()) for one in (TRACE, OTHER.trace_id, TRACE)]
    session = span(flat("annotation", scope="session.", name="approved", label="pass"))
    assert reports_of_span(session, RULES, is_in_run=False) == ((), ())


def test_evaluations_of_one_span_are_bounded_and_apart() -> None:
    """Each has a key of its own; the order in which they are listed does not matter."""
    several = {
        **flat("annotation", place=3, name="approved", label="pass"),
        **flat("annotation", place=0, name="relevance", score=0.2),
        **flat("annotation", place=1, name="other", score=0.2),
    }
    found = reports_of_span(span(several), RULES, is_in_run=True)
    assert len({report.idempotency_key for report in found.reports}) == 2
    assert found.ignored == (Ignored.NO_RULE,)
    turned = reports_of_span(span(dict(reversed(several.items()))), RULES, is_in_run=True)
    assert {report.fingerprint for report in found.reports} == {report.fingerprint for report in turned.reports}
    many: dict[str, Any] = {}
    for place in range(1000):
        many |= flat("annotation", place=place, name="x", score=1)
    assert len(reports_of_span(span(many), RULES, is_in_run=True).ignored) == EVALUATIONS_MAX


@given(
    st.dictionaries(
        st.from_regex(
            r"(trace\.)?(annotation|evaluation)s\.[0-9.]{1,4}(annotation|evaluation)\.(name|score|label)",
            fullmatch=True,
        )
        | st.text(max_size=5),
        st.sampled_from(["approved", 1, 0.5, True, b"x", ("a",), None, "pass"]),
    )
)
def test_any_attributes_make_reports_or_none(attributes: dict[str, Any]) -> None:
    """And nothing else happens."""
    found = reports_of_span(span(attributes, OTHER), RULES, is_in_run=False)
    assert all(report.fingerprint for report in found.reports)
