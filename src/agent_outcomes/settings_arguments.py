# SPDX-License-Identifier: Apache-2.0
"""The settings as keyword arguments, in a module of its own: what their types name is only for who has prices."""

from __future__ import annotations

from typing import TypedDict

# Named in an annotation, which may be read while the program runs.
from agent_outcomes.run.pricing import Prices  # noqa: TC001 - as said


class SettingsArguments(TypedDict, total=False):
    """The settings as keyword arguments, for type checkers; `None` stands for one that is not given."""

    agents_max: int | None
    job_types_max: int | None
    labels_max: int | None
    hide_message: bool | None
    hide_metadata: bool | None
    outcome_span: bool | None
    handoffs: bool | None
    evaluation_result: bool | None
    prices: Prices | str | None
    stale_after_s: float | None
    ledger: str | None
    ledger_sync: bool | None
    ledger_policy: str | None
    ledger_hold_s: float | None
    ledger_deliver: bool | None
