# SPDX-License-Identifier: Apache-2.0
"""Where a span says with which status of a protocol or of a database it failed, and what that says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_outcomes.outcome.classification import ERROR_NAME_LENGTH_MAX, facts_from_name, find_named
from agent_outcomes.outcome.codes import GRPC_NUMBERS
from agent_outcomes.outcome.error_names import rule_of_code, rule_of_http
from agent_outcomes.outcome.store_codes import DB_SYSTEMS
from agent_outcomes.outcome.text import encodable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.outcome.errors import Classification

_CODE_MAX: Final = 100_000
# The old keys last, and what LiteLLM calls it.
HTTP_STATUS_KEYS: Final = ("http.response.status_code", "http.status_code", "error.code")
GRPC_STATUS_KEYS: Final = ("rpc.response.status_code", "rpc.grpc.status_code", "rpc.jsonrpc.error_code")
DB_STATUS: Final = "db.response.status_code"
_DB_SYSTEM_KEYS: Final = ("db.system.name", "db.system")


def protocol_status(attributes: Mapping[str, Any]) -> tuple[Classification, str, str] | None:
    """The rule of the status of HTTP, gRPC or a database that a span carries, its key and the status.

    None for that of a success. Never raises.
    """
    for key in HTTP_STATUS_KEYS:
        status = _number(attributes.get(key))
        rule = rule_of_http(status) if status is not None else None
        if rule is not None:
            return rule, key, str(status)
    for key in GRPC_STATUS_KEYS:
        code = _grpc_name(attributes.get(key))
        rule = find_named(facts_from_name(code)) if code is not None else None
        if code is not None and rule is not None:
            return rule, key, code
    return _of_database(attributes)


def _of_database(attributes: Mapping[str, Any]) -> tuple[Classification, str, str] | None:
    status = attributes.get(DB_STATUS)
    systems = (attributes.get(key) for key in _DB_SYSTEM_KEYS)
    store = next((DB_SYSTEMS.get(str.__str__(one)) for one in systems if isinstance(one, str)), None)
    if store is None or not isinstance(status, str):
        return None
    code = f"{store} {encodable(status, ERROR_NAME_LENGTH_MAX)}"
    rule = rule_of_code(code)
    return (rule, DB_STATUS, code) if rule is not None else None


def _number(value: object) -> int | None:
    """A status as number or as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    return facts_from_name(str.__str__(value)).http_status if isinstance(value, str) else None


def _grpc_name(value: object) -> str | None:
    if isinstance(value, str):
        return encodable(value, ERROR_NAME_LENGTH_MAX)
    number = _number(value)
    return GRPC_NUMBERS.get(number, str(number)) if number is not None and abs(number) < _CODE_MAX else None
