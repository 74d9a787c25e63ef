# SPDX-License-Identifier: Apache-2.0
"""What the three agents will do: exact mixes of endings, drawn up before anything runs, shuffled by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from agents import coding, sales, support
from agents.simulated import Fault, HumanTime, Job, ModelCall, ToolCall

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

Steps = tuple[ModelCall | ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of an agent's runs, `count` of them, with what must be made of each.

    `fault` is the exception that escapes (or, if `recovers`, is handled by a second attempt); `stated` is the status
    word the agent sets itself. `status`, `type`, `retryable` and `explicit` are what must arrive.
    """

    count: int
    status: str
    type: str | None = None
    retryable: bool | None = False
    stated: str | None = None
    fault: Fault | None = None
    recovers: bool = False
    valued: bool = False

    @property
    def explicit(self) -> bool:
        """Whether the status is the agent's own word; an exception that escapes comes before it is said."""
        return self.stated is not None


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A job, the agent that gets it and the share whose expectations it must meet."""

    agent: str
    job: Job
    share: Share


SALES: Final = (
    Share(30, "success", "converted", valued=True),
    Share(80, "success", "unsuccessful"),
    Share(30, "success", "unsuccessful", stated="success"),
    Share(32, "success", "escalated"),
    Share(8, "failure", "escalated", stated="failure", retryable=None),
    Share(40, "success"),
    Share(10, "failure", fault=Fault.CONNECTION, retryable=True),
    Share(6, "failure", fault=Fault.RATE_LIMIT, retryable=True),
    Share(5, "invalid_output", stated="invalid_output", retryable=True),
    Share(5, "timeout", fault=Fault.TIMEOUT, retryable=True),
    Share(4, "failure", fault=Fault.BAD_VALUE, retryable=None),
)
SUPPORT: Final = (
    Share(360, "success", "deflected", valued=True),
    Share(20, "success", "deflected", fault=Fault.RATE_LIMIT, recovers=True, valued=True),
    Share(12, "success", "deflected", stated="success", valued=True),
    Share(8, "partial", "deflected", stated="partial", valued=True),
    Share(60, "success", "converted", valued=True),
    Share(14, "success", "escalated", valued=True),
    Share(8, "failure", "escalated", stated="failure", retryable=None),
    Share(6, "timeout", "escalated", fault=Fault.TIMEOUT, retryable=True),
    Share(4, "failure", "escalated", fault=Fault.RATE_LIMIT, retryable=True),
    Share(3, "failure", "escalated", fault=Fault.CONNECTION, retryable=True),
    Share(3, "invalid_output", "escalated", stated="invalid_output", retryable=True),
    Share(2, "timeout", "escalated", stated="timeout", retryable=True),
)
CODING: Final = (
    Share(168, "success", "converted", valued=True),
    Share(8, "success", "converted", stated="COMPLETED", valued=True),
    Share(4, "partial", "converted", stated="partial", valued=True),
    Share(9, "success", "escalated", valued=True),
    Share(4, "failure", "escalated", stated="failed", retryable=None),
    Share(4, "timeout", "escalated", fault=Fault.TIMEOUT, retryable=True),
    Share(3, "invalid_output", "escalated", fault=Fault.UNREADABLE, retryable=True),
    Share(3, "failure", "escalated", fault=Fault.CONNECTION, retryable=True),
    Share(2, "failure", "escalated", fault=Fault.BAD_VALUE, retryable=None),
    Share(27, "cancelled", "custom", stated="cancelled"),
    Share(18, "cancelled", "custom", fault=Fault.CANCELLED),
)

SDR_RATE: Final = Decimal("54.00")
SUPPORT_RATE: Final = Decimal("38.00")
ENGINEER_RATE: Final = Decimal("95.00")
ENRICHMENT_COST: Final = Decimal("0.035")
COST_OF_A_TICKET_SOLVED_BY_A_PERSON: Final = Decimal("6.50")
UPGRADES: Final = (Decimal("19.00"), Decimal("49.00"), Decimal("99.00"))

SALES_JOBS: Final = ("inbound_lead", "outbound_lead")
SUPPORT_JOBS: Final = ("billing_question", "order_status", "password_reset", "refund_request")
CODING_VALUES: Final = {
    "pr_review": Decimal("18.50"),
    "test_generation": Decimal("32.00"),
    "incident_root_cause": Decimal("240.00"),
    "release_gate": Decimal("55.25"),
    "dependency_risk": Decimal("41.75"),
}
CODING_TOOLS: Final = {
    "pr_review": ("repo_search", "github_review"),
    "test_generation": ("repo_search", "ci_run"),
    "incident_root_cause": ("repo_search", "ci_logs"),
    "release_gate": ("ci_status", "github_checks"),
    "dependency_risk": ("repo_search", "github_advisories"),
}

# Where in an agent's steps a fault may strike: at a model call, and a value error in a tool's answer.
_FAULTS_IN_TOOLS: Final = frozenset({Fault.BAD_VALUE})


def plan_round(seed: int, round_number: int, scale: int) -> list[PlannedRun]:
    """One round of every agent, 1,000 runs times `scale`; the same for the same seed, the mixes exact for any."""
    dice = random.Random(seed * 1_000_003 + round_number)
    planned: list[PlannedRun] = []
    for agent, shares, make in _AGENTS:
        number = 0
        for share in shares:
            for _ in range(share.count * scale):
                conversation = f"{agent}-{round_number}-{number:05d}"
                planned.append(PlannedRun(agent, make(share, number, conversation, dice), share))
                number += 1
    dice.shuffle(planned)
    return planned


def perform_run(planned: PlannedRun, runner: asyncio.Runner) -> None:
    """Let the agent do its job; raises what escapes it unless that is what the plan says."""
    expected = () if planned.share.fault is None or planned.share.recovers else (planned.share.fault.exception,)
    try:
        if planned.agent == coding.NAME:
            runner.run(coding.run(planned.job))
        else:
            (sales.run if planned.agent == sales.NAME else support.run)(planned.job)
    except expected:
        pass


def _sales_job(share: Share, number: int, conversation: str, dice: random.Random) -> Job:
    steps = (
        _call(dice, "prospecting", "gpt-4.1-mini"),
        ToolCall("enrich_company", ENRICHMENT_COST),
        ToolCall("enrich_contact", ENRICHMENT_COST),
        _call(dice, "qualification", "gpt-4.1-mini"),
        _call(dice, "close", "gpt-4.1"),
    )
    value = Decimal(dice.randrange(90_000, 1_200_000)) / 100
    return Job(
        conversation_id=conversation,
        job_type=SALES_JOBS[number % len(SALES_JOBS)],
        steps=_with_fault(steps, share, dice),
        follow_up=(HumanTime("sdr", dice.randrange(5, 31), SDR_RATE),) if share.type == "escalated" else (),
        result=share.type,
        stated_status=share.stated,
        value=value if share.valued else None,
    )


def _support_job(share: Share, number: int, conversation: str, dice: random.Random) -> Job:
    steps = (
        _call(dice, "triage", "gpt-4.1-nano"),
        ToolCall("kb_search"),
        ToolCall("crm_lookup"),
        _call(dice, "resolution", "gpt-4.1-mini"),
    )
    hand_over = (
        _call(dice, "escalation", "gpt-4.1-nano"),
        ToolCall("crm_update"),
        HumanTime("support_engineer", dice.randrange(4, 21), SUPPORT_RATE),
    )
    value = dice.choice(UPGRADES) if share.type == "converted" else COST_OF_A_TICKET_SOLVED_BY_A_PERSON
    return Job(
        conversation_id=conversation,
        job_type=SUPPORT_JOBS[number % len(SUPPORT_JOBS)],
        steps=_with_fault(steps, share, dice),
        follow_up=hand_over if share.type == "escalated" else (),
        result=share.type,
        stated_status=share.stated,
        value=value if share.valued else None,
    )


def _coding_job(share: Share, number: int, conversation: str, dice: random.Random) -> Job:
    job_type = tuple(CODING_VALUES)[number % len(CODING_VALUES)]
    first_tool, second_tool = CODING_TOOLS[job_type]
    steps = (
        _call(dice, "plan", "gpt-4.1"),
        ToolCall(first_tool),
        _call(dice, "work", "gpt-4.1"),
        ToolCall(second_tool),
        _call(dice, "summary", "gpt-4.1-mini"),
    )
    engineer = HumanTime("engineer", dice.randrange(10, 61), ENGINEER_RATE)
    return Job(
        conversation_id=conversation,
        job_type=job_type,
        steps=_with_fault(steps, share, dice),
        follow_up=(engineer,) if share.type == "escalated" else (),
        result=share.type,
        stated_status=share.stated,
        value=CODING_VALUES[job_type] if share.valued else None,
    )


def _call(dice: random.Random, step: str, model: str) -> ModelCall:
    return ModelCall(step, model, input_tokens=dice.randrange(400, 6_000), output_tokens=dice.randrange(40, 900))


def _with_fault(steps: Steps, share: Share, dice: random.Random) -> Steps:
    if share.fault is None:
        return steps
    wanted = ToolCall if share.fault in _FAULTS_IN_TOOLS else ModelCall
    at = dice.choice([index for index, step in enumerate(steps) if isinstance(step, wanted)])
    struck = steps[at]
    if isinstance(struck, ModelCall):
        struck = replace(struck, fault=share.fault, transient=share.recovers)
    else:
        struck = replace(struck, fault=share.fault)
    return (*steps[:at], struck, *steps[at + 1 :])


_AGENTS: Final[tuple[tuple[str, tuple[Share, ...], Callable[[Share, int, str, random.Random], Job]], ...]] = (
    (sales.NAME, SALES, _sales_job),
    (support.NAME, SUPPORT, _support_job),
    (coding.NAME, CODING, _coding_job),
)
