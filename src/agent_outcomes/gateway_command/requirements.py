# SPDX-License-Identifier: Apache-2.0
"""What a gateway needs installed beside this package; asked before anything is imported that needs it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from agent_outcomes.ledger.requirements import require_packages
from agent_outcomes.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PACKAGES: Final = (
    "sqlalchemy",
    "alembic",
    "httptools",
    "isal",
    "jinja2",
    "msgspec",
    "python_multipart",
    "starlette",
    "uvicorn",
    "zstandard",
)


def require_gateway_packages() -> None:
    """Raise `SettingsError`, which says what to install, where a gateway's packages are not there."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        message = f"a gateway needs {', '.join(missing)}: pip install 'otel-agent-outcomes[gateway]'"
        raise SettingsError(message)


REQUIRE: Final[Mapping[str, Callable[[], object]]] = {"serving": require_gateway_packages, "keys": require_packages}
"""What each module of this package that carries a command out must have."""
