# SPDX-License-Identifier: Apache-2.0
"""Retries by the typed outcome, for tenacity: what is tried again, and how long to wait before.

Needs the extra `tenacity`. Decorate the outside of a run, so that each attempt is a run of its own with its own
outcome and cost:

    @retry(retry=retry_if_retryable(), wait=wait_retry_after(), stop=stop_after_attempt(5), reraise=True)
    @agent_run("support-bot")
    def answer(question: str) -> str: ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from tenacity import wait_random_exponential
    from tenacity.retry import retry_base
    from tenacity.wait import wait_base
except ImportError as error:
    message = "agent_outcomes.retrying needs the package tenacity: pip install 'otel-agent-outcomes[tenacity]'"
    raise ImportError(message) from error

from agent_outcomes.api.retry_after import retry_after_s
from agent_outcomes.outcome.model import Outcome

if TYPE_CHECKING:
    from tenacity import RetryCallState


class retry_if_retryable(retry_base):  # noqa: N801 - named as tenacity names its own
    """Tries again what could go well as it is: by the exception's classification, or by an `Outcome` returned.

    What is not known to be transient is not tried again. Any other result is taken as it is. Never raises.
    """

    def __call__(self, retry_state: RetryCallState) -> bool:
        """Whether to try again after this attempt."""
        outcome = outcome_of(retry_state)
        return outcome is not None and outcome.is_retryable()


class wait_retry_after(wait_base):  # noqa: N801 - as above
    """Waits as long as the error asks, at most `max_s` seconds; if it does not ask, as `otherwise` says.

    By default that is a random time up to 1, 2, 4, ... seconds, at most `max_s`.
    """

    def __init__(self, otherwise: wait_base | None = None, *, max_s: float = 60.0) -> None:
        self._otherwise = wait_random_exponential(max=max_s) if otherwise is None else otherwise
        self._max_s = max_s

    def __call__(self, retry_state: RetryCallState) -> float:
        """The seconds to wait before the next attempt."""
        error = _error_of(retry_state)
        asked_s = retry_after_s(error) if error is not None else None
        return min(float(self._otherwise(retry_state) if asked_s is None else asked_s), self._max_s)


def outcome_of(retry_state: RetryCallState) -> Outcome | None:
    """The outcome of an attempt: what its exception amounts to, or what it returned if that is an `Outcome`."""
    error = _error_of(retry_state)
    if error is not None:
        return Outcome.from_exception(error)
    attempt = retry_state.outcome
    result = attempt.result() if attempt is not None else None
    return result if isinstance(result, Outcome) else None


def _error_of(retry_state: RetryCallState) -> BaseException | None:
    attempt = retry_state.outcome
    return attempt.exception() if attempt is not None else None
