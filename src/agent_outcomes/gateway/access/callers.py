# SPDX-License-Identifier: Apache-2.0
"""Who calls, and what a caller may do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agent_outcomes.ledger.book.reports import Reporter
from agent_outcomes.ledger.keys import Right

if TYPE_CHECKING:
    from agent_outcomes.ledger.keys import KeyRow

_IMPLYING: Final = {
    Right.INGEST: frozenset({Right.INGEST, Right.ADMIN}),
    Right.READ: frozenset({Right.READ, Right.ADMIN}),
    Right.REPORT: frozenset({Right.REPORT, Right.CORRECT, Right.ADMIN}),
    Right.CORRECT: frozenset({Right.CORRECT, Right.ADMIN}),
    Right.ADMIN: frozenset({Right.ADMIN}),
}
"""Of each right those that include it."""


class Caller(NamedTuple):
    """Who calls: the name of the key, its rights, and the agents that it is bound to (`None`: all)."""

    name: str
    rights: frozenset[Right]
    agents: frozenset[str] | None = None

    def may(self, right: Right) -> bool:
        """Whether the caller has this right, or one that includes it."""
        return not self.rights.isdisjoint(_IMPLYING[right])

    def sees(self, agent_name: str | None) -> bool:
        """Whether the runs of this agent are the caller's; those of no named agent only of who is bound to none."""
        return self.agents is None or agent_name in self.agents

    def reporter(self, *, may_correct: bool = True) -> Reporter:
        """The caller as the ledger takes a reporter; who has the right to correct may also go without it."""
        return Reporter(self.name, self.agents, may_correct and self.may(Right.CORRECT))


LOCAL: Final = Caller("", frozenset({Right.ADMIN}))
"""Whoever calls from this machine while there are no keys."""


def caller_with(key: KeyRow) -> Caller:
    """Who calls with that key."""
    return Caller(key.name, key.rights, key.agents)
