# SPDX-License-Identifier: Apache-2.0
"""Which run a path names, and what headers say of a report on it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.bounds import REVISION_MAX, whole_number
from agent_outcomes.ledger.book.reading import NamedRun
from agent_outcomes.ledger.book.refusals import invalid, stale_revision
from agent_outcomes.outcome.attribute_reader import LABEL_LENGTH_MAX
from agent_outcomes.outcome.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONDITIONS_MAX: Final = 16
"""How many revisions `If-Match` may list."""
_RUN_ID: Final = "run_id:"
_OUTCOME_ID: Final = Pattern(r"[0-9a-fA-F]{32}-[0-9a-fA-F]{16}")
_TRACE_ID: Final = Pattern(r"[0-9a-fA-F]{32}")
# RFC 9110, 8.8.3, an entity tag, and 5.6.1, a list of them, in which elements may be empty.
_ETAG: Final = r'(?:W/)?"[!#-~\x80-\xff]*"'
_ETAGS: Final = Pattern(rf"[ \t,]*{_ETAG}(?:[ \t]*,[ \t,]*{_ETAG})*[ \t,]*")
_EACH_ETAG: Final = Pattern(_ETAG)
_NAMES: Final = tuple(name for name in NamedRun.__annotations__ if name != "run")


def run_named_by(identifier: str) -> NamedRun:
    """The run that the `{id}` of a path names: by an outcome id, a trace id, or `run_id:` and the user's own key.

    Raises `ReportRefused` (INVALID_REPORT).
    """
    if identifier.startswith(_RUN_ID):
        return {"run_id": identifier.removeprefix(_RUN_ID)}
    if _OUTCOME_ID.fullmatch(identifier):
        return {"outcome_id": identifier}
    if _TRACE_ID.fullmatch(identifier):
        return {"trace_id": identifier}
    raise invalid([("id", "the path takes an outcome id, a trace id, or run_id: and your own key of the run")])


def with_reference(fields: Mapping[str, Any], identifier: str) -> dict[str, Any]:
    """The fields of a report on the run that the path names. Raises `ReportRefused` where they name one, too."""
    twice = [(name, f"{name} is left out: the path names the run") for name in _NAMES if name in fields]
    if twice:
        raise invalid(twice)
    return {**fields, **run_named_by(identifier)}


def with_key(fields: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """The fields with what `Idempotency-Key` says; raises `ReportRefused` where they say another."""
    made = {**fields}
    for name, key in idempotency_of(headers).items():
        _put(made, name, key)
    return made


def with_condition(fields: Mapping[str, Any], conditions: Sequence[str]) -> list[dict[str, Any]]:
    """The fields once for each revision that may stand by all lines of `If-Match`, the lowest first.

    Tags are compared strongly (RFC 9110, 13.1.1), so that a weak one matches nothing, as one does that is none of
    ours. Raises `ReportRefused`: STALE_REVISION where none can match, INVALID_REPORT for what is no list of tags, and
    where the fields say otherwise.
    """
    condition = ", ".join(conditions).strip()
    if not conditions or condition == "*":
        return [{**fields}]
    revisions = _revisions_of(condition)
    if not revisions:
        raise stale_revision()
    made = [{**fields} for _ in revisions]
    for each, revision in zip(made, revisions, strict=True):
        _put(each, "if_revision", revision)
    return made


def idempotency_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """The idempotency key that headers give, if they do; raises `ReportRefused` for what is none."""
    given = headers.get("idempotency-key")
    if given is None:
        return {}
    text = given.strip()
    # Its draft standard has it in quotes, most senders have not.
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"'
    key = text[1:-1] if is_quoted else text
    if not key or len(text) > LABEL_LENGTH_MAX:
        raise invalid([("idempotency_key", f"Idempotency-Key takes text of 1 to {LABEL_LENGTH_MAX} characters")])
    return {"idempotency_key": key}


def etag_of(revision: int) -> str:
    """The entity tag of a revision."""
    return f'"{revision}"'


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    if fields.get(name, value) != value:
        raise invalid([(name, f"{name} and the header say two things; give one")])
    fields[name] = value


def _revisions_of(condition: str) -> list[int]:
    """The revisions whose tags are listed, in their order."""
    listed: list[str] = _EACH_ETAG.findall(condition) if _ETAGS.fullmatch(condition) else []
    read = [(whole_number(tag.strip('"'), REVISION_MAX), tag) for tag in listed]
    # Tags are compared by their characters: "07" is not that of revision 7.
    revisions = {each for each, tag in read if each is not None and etag_of(each) == tag}
    if not listed or len(revisions) > CONDITIONS_MAX:
        takes = f'takes up to {CONDITIONS_MAX} ETags of revisions, as "0", or *'
        raise invalid([("if_revision", f"If-Match {takes}")])
    return sorted(revisions)
