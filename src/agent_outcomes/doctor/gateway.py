# SPDX-License-Identifier: Apache-2.0
"""The layer `gateway`: that which reports go to answers, is ready, is of a version we know, and takes our key."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from agent_outcomes._version import __version__
from agent_outcomes.doctor.findings import Layer, export_line, failed, ok, skipped
from agent_outcomes.otlp.endpoints import shown_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_outcomes.doctor.findings import LayerFinding
    from agent_outcomes.doctor.reach import Deadline

URL_VARIABLE: Final = "AGENT_OUTCOMES_GATEWAY"
KEY_VARIABLE: Final = "AGENT_OUTCOMES_GATEWAY_KEY"
_EXAMPLE: Final = "http://127.0.0.1:8321"
_ANSWER_MAX_S: Final = 5.0
_REPLY_MAX_BYTES: Final = 65_536
_NAMED_MAX: Final = 5
_WHY: Final = "report_outcome(..., gateway=...) reaches nobody who would take a report."
_WHY_KEY: Final = "Reports without a key that the gateway knows are refused."


class Reply(NamedTuple):
    """An answer: its status and, of a JSON object, its fields."""

    status: int
    fields: Mapping[str, object]

    def codes(self, name: str) -> list[str]:
        """The codes of the reasons or warnings that it lists."""
        listed = self.fields.get(name)
        rows = listed if isinstance(listed, list) else []
        return [str(row.get("code")) for row in rows[:_NAMED_MAX] if isinstance(row, dict)]


def check_gateway(environ: Mapping[str, str], deadline: Deadline) -> LayerFinding:
    """Look at the gateway that the variables name. Never raises, and follows no redirect."""
    url = environ.get(URL_VARIABLE, "").strip()
    if not url:
        return skipped(Layer.GATEWAY, f"no gateway is set ({URL_VARIABLE})")
    key = environ.get(KEY_VARIABLE, "").strip()
    try:
        ready = _asked(url, "/readyz", key, deadline.left_s(_ANSWER_MAX_S))
        runs = _asked(url, "/v1/runs?limit=1", key, deadline.left_s(_ANSWER_MAX_S))
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _unreached(shown_url(url), _words(error))
    return judge_gateway(shown_url(url), ready, runs, has_key=bool(key))


def judge_gateway(shown: str, ready: Reply, runs: Reply, *, has_key: bool) -> LayerFinding:
    """What there is to say of a gateway by its answers to `/readyz` and `/v1/runs`."""
    version = ready.fields.get("version")
    if ready.status not in {200, 503} or not isinstance(version, str):
        return _unreached(shown, f"something else answers there, with {ready.status}")
    if runs.status == 401:  # noqa: PLR2004 - as HTTP has it
        return _key_refused(shown, has_key=has_key)
    if ready.status != 200:  # noqa: PLR2004
        return failed(
            Layer.GATEWAY,
            f"it is not ready ({', '.join(ready.codes('reasons'))}): {shown}",
            why="It refuses what it could not keep; senders try again for a while.",
            fix=f"Its log says why, and so does:\n  curl {shown}/readyz",
            variable=URL_VARIABLE,
        )
    warnings = ready.codes("warnings")
    parts = (
        f"version {version}" + ("" if version == __version__ else f" (here {__version__})"),
        "ready" + (f", but look: {', '.join(warnings)}" if warnings else ""),
        ("our key is taken" if has_key else "no key is needed from here"),
    )
    return ok(Layer.GATEWAY, f"{', '.join(parts)}: {shown}")


def _asked(url: str, path: str, key: str, limit_s: float) -> Reply:
    """The answer to one request. Raises `OSError`, `HTTPException` or `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = f"it is no URL such as {_EXAMPLE}"
        raise ValueError(message)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=max(limit_s, 0.1))
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}{path}", headers=_headers(key))
        answer = connection.getresponse()
        content = answer.read(_REPLY_MAX_BYTES)
        return Reply(answer.status, _fields(content))
    finally:
        connection.close()


def _headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}


def _fields(content: bytes) -> Mapping[str, object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError | TimeoutError):
        return "no trusted TLS connection" if isinstance(error, ssl.SSLError) else "no answer in time"
    text = getattr(error, "strerror", None) or str(error)
    return str(text) or type(error).__name__


def _unreached(shown: str, why: str) -> LayerFinding:
    return failed(
        Layer.GATEWAY,
        f"{why}: {shown}",
        why=_WHY,
        fix="Start it (agent-outcomes serve), or name the address that it prints as API and page:\n"
        + export_line(URL_VARIABLE, _EXAMPLE),
        variable=URL_VARIABLE,
    )


def _key_refused(shown: str, *, has_key: bool) -> LayerFinding:
    return failed(
        Layer.GATEWAY,
        f"it does not know our key: {shown}" if has_key else f"it wants a key: {shown}",
        why=_WHY_KEY,
        fix="On its machine: agent-outcomes keys create --name NAME --may report\n"
        + export_line(KEY_VARIABLE, "aok_..."),
        variable=KEY_VARIABLE,
    )
