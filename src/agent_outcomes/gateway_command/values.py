# SPDX-License-Identifier: Apache-2.0
"""What the flags of `serve` take: addresses, URLs, folders, times, sizes. Pure; each raises `ValueError`."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agent_outcomes.gateway.settings import Address
from agent_outcomes.outcome.patterns import Pattern

NOT_LISTENED_ON: Final = "none"
MIB: Final = 2**20
_ADDRESS: Final = Pattern(r"(\[[0-9A-Za-z:.%_-]{2,60}\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})")
_PORT_MAX: Final = 65_535
_WHOLE: Final = Pattern(r"[0-9]{1,9}")
_SECONDS: Final = Pattern(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")
_SCHEMES: Final = frozenset({"http", "https"})


def listener_address(text: str) -> Address | None:
    """Host and port, `[::1]:4317` for IPv6; `None` for `none`."""
    if text.lower() == NOT_LISTENED_ON:
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[2]) > _PORT_MAX:
        raise ValueError
    return Address(found[1].strip("[]"), int(found[2]))


def web_url(text: str) -> str:
    """An absolute URL of http or https."""
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES or not parts.hostname or any(ord(character) <= ord(" ") for character in text):
        raise ValueError
    _ = parts.port  # raises where it is none
    return text


def trace_url(text: str) -> str:
    """A URL with the place of a trace id in it."""
    if "{trace_id}" not in text:
        raise ValueError
    return web_url(text)


def folder(text: str) -> Path:
    """An absolute path; what is empty would be the folder that one is in, and names none."""
    if not text.strip() or "\0" in text:
        raise ValueError
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # nobody knows whose home it would be
        raise ValueError from error


def seconds(text: str) -> float:
    """Seconds, more than 0."""
    found = _SECONDS.fullmatch(text)
    if found is None or float(text) <= 0:
        raise ValueError
    return float(text)


def seconds_or_none(text: str) -> float:
    """Seconds, from 0."""
    if _SECONDS.fullmatch(text) is None:
        raise ValueError
    return float(text)


def whole(text: str) -> int:
    """A whole number from 1."""
    if _WHOLE.fullmatch(text) is None or int(text) < 1:
        raise ValueError
    return int(text)


def mib(text: str) -> int:
    """So many MiB, in bytes."""
    return whole(text) * MIB


def rules(text: str) -> tuple[str, ...]:
    """Rules NAME=RULE, with semicolons between."""
    found = tuple(rule.strip() for rule in text.split(";") if rule.strip())
    if not found or not all("=" in rule for rule in found):
        raise ValueError
    return found
