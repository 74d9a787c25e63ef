# SPDX-License-Identifier: Apache-2.0
"""Calls of which no instrumentation makes spans, by the API's key, which is still private."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

if TYPE_CHECKING:
    from collections.abc import Callable

ResultT = TypeVar("ResultT")


def untraced(ask: Callable[[], ResultT]) -> ResultT:
    """The result of `ask`, of which no instrumentation makes spans, as the SDK's own exports make none."""
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))  # noqa: FBT003 - the API takes it by position
    try:
        return ask()
    finally:
        detach(token)
