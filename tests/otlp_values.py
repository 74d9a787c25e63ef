# SPDX-License-Identifier: Apache-2.0
"""Attribute values as OTLP has them, as plain ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue


def value_of(value: AnyValue) -> Any:
    """A text, number, flag or bytes; a tuple of them; `None` of an empty one."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(value_of(item) for item in value.array_value.values)
    return getattr(value, kind) if kind is not None else None
