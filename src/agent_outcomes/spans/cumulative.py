# SPDX-License-Identifier: Apache-2.0
"""Model calls that report what the calls before them in a loop have used, too, made into what each has used itself.

Spring AI's chat models run the tools themselves and then call themselves again: the spans are siblings, a tool runs
between them, and each reports the usage of all up to it (`UsageCalculator.getCumulativeUsage`). Where an advisor runs
the tools instead, each call is below a span of its own, and reports itself alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_outcomes.run.call_log import CallLog
from agent_outcomes.run.calls import CallKind
from agent_outcomes.run.conventions import Role
from agent_outcomes.run.tally import Tally
from agent_outcomes.run.usage_keys import INPUT, OUTPUT
from agent_outcomes.spans.gathered import Gathered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent_outcomes.run.calls import Call
    from agent_outcomes.spans.gathered import Item

_WHOLES: Final = (INPUT, OUTPUT)


def each_by_itself(folded: Gathered | None, items: Iterable[Gathered | Item]) -> list[Gathered | Item]:
    """What has been left right below such a span, in order and after what is `folded`, with each call's own usage.

    Where earlier calls have been added up already, the sums are in doubt.
    """
    before: Call | None = None
    has_run_tool = False
    found: list[Gathered | Item] = [_doubt()] if folded is not None and folded.has_figures else []
    for item in items:
        left = _as_gathered(item)
        call = _only_call(left)
        if call is None:
            has_run_tool = has_run_tool or left.by_tools is not None or bool(left.tally and left.tally.tool_calls)
            found.append(item)
            continue
        is_sum = before is not None and has_run_tool and _may_hold(call, before)
        found.append(_without(left, call, before) if is_sum and before is not None else item)
        if not call.is_silent:
            before, has_run_tool = call, False
    return found


def _doubt() -> Gathered:
    left = Gathered()
    left.tally = Tally()
    left.tally.mismatch = True
    return left


def _as_gathered(item: Gathered | Item) -> Gathered:
    if isinstance(item, Gathered):
        return item
    left = Gathered()
    left.add_leaves(item[0], [item])
    left.is_model_call = item[0].role is Role.MODEL
    return left


def _only_call(left: Gathered) -> Call | None:
    tally = left.tally
    if not left.is_model_call or tally is None or tally.calls is None or tally.calls.size != 1:
        return None
    (call,) = tally.calls.listed()
    return call if call.kind is CallKind.CHAT else None


def _may_hold(call: Call, before: Call) -> bool:
    """Whether the one's figures may have the other's in them."""
    pairs = zip(call.tokens, before.tokens, strict=True)
    return any(call.counts) and False not in [(count or 0) >= (known or 0) for count, known in pairs]


def _without(left: Gathered, call: Call, before: Call) -> Gathered:
    """The same with what the call before has used taken away; nothing is left of one that knew nothing of itself."""
    pairs = zip(call.tokens, before.tokens, strict=True)
    tokens = [None if count is None else count - (known or 0) for count, known in pairs]
    if not any(tokens[dimension] for dimension in _WHOLES):
        tokens = [None] * len(tokens)
    # A cost that was worked out from the sum is none of the call.
    own = call._replace(tokens=tuple(tokens), computed=None)
    only = Gathered()
    only.__dict__.update(left.__dict__)
    only.tally = _exchanged(left.tally, call, own)
    return only


def _exchanged(tally: Tally | None, call: Call, own: Call) -> Tally | None:
    if tally is None:
        return None
    changed = tally.copy()
    changed.exchange(call, own)
    changed.calls = CallLog.of([own])
    return changed
