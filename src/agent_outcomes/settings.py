# SPDX-License-Identifier: Apache-2.0
"""Settings: the processor's arguments and the `AGENT_OUTCOMES_*` variables that mean the same, read in one place.

A setting is one field of `Settings` and the row of its name. Its argument, its variable, its option in a configuration
file, its row in the README and the words of its errors follow from them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final, Unpack

from agent_outcomes import semconv
from agent_outcomes.fields import NamedTuple
from agent_outcomes.outcome.patterns import Pattern
from agent_outcomes.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from agent_outcomes.run.pricing import Prices
    from agent_outcomes.settings_arguments import SettingsArguments

SETTINGS_PREFIX: Final = "AGENT_OUTCOMES_"
LIMIT_MAX: Final = 500
SECONDS_MAX: Final = 604_800
_SECONDS: Final = Pattern(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)
GENAI_PRICES: Final = "genai-prices"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_SHOWN_MAX: Final = 80
_LEDGER_URLS: Final = "the URL of a database, sqlite:///outcomes.db or postgresql://user@host/database, or none"
_LEDGER_SCHEME: Final = Pattern(r"(?:sqlite|postgres(?:ql(?:\+psycopg)?)?):.+", re.ASCII | re.DOTALL)
# What people write before the colon of a database's URL, or mistake for it.
_SCHEMES_SHOWN: Final = frozenset(
    {"sqlite", "sqlite3", "postgresql", "postgres", "postgresqls", "pgsql", "mysql", "mariadb", "mssql", "oracle"}
    | {"mongodb", "redis", "http", "https", "file"}
)
LEDGER_OFF: Final = "none"
OWN_POLICY: Final = "own"
_POLICIES: Final = ("immutable", "latest", OWN_POLICY)


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message names the setting and what it takes."""


class Kind(NamedTuple):
    """What a setting takes: as an argument and as a variable's text; either function raises `ValueError` at others."""

    check: Callable[[object], object]
    parse: Callable[[str], object]
    takes: str
    takes_as_text: str = ""
    show: Callable[[object], str] = repr
    show_text: Callable[[str], str] = str


class Setting(NamedTuple):
    """One setting: its argument and option, its default and, in Markdown, what it does."""

    name: str
    kind: Kind
    default: object
    sentence: str

    @property
    def variable(self) -> str:
        """The environment variable that means the same as the argument."""
        return f"{SETTINGS_PREFIX}{self.name.upper()}"


def _checked_limit(limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= LIMIT_MAX:
        raise ValueError
    return limit


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LIMIT_MAX))):
        raise ValueError
    return _checked_limit(int(text))


def _checked_switch(switch: object) -> bool:
    # The text "false" would switch on.
    if not isinstance(switch, bool):
        raise ValueError  # noqa: TRY004 - one error for all that cannot be used
    return switch


def _switch(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _checked_seconds(seconds: object) -> float:
    # The comparison refuses NaN, too.
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= SECONDS_MAX:
        raise ValueError
    return float(seconds)


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text):
        raise ValueError
    return _checked_seconds(float(text))


def _checked_prices(prices: object) -> object:
    if prices != GENAI_PRICES and not callable(prices):
        raise ValueError
    return prices


def _prices(text: str) -> str:
    word = text.lower()
    if word != GENAI_PRICES:
        raise ValueError
    return word


def _checked_ledger(url: object) -> str | None:
    if not isinstance(url, str):
        raise ValueError  # noqa: TRY004 - as above
    text = url.strip()
    # What comes after the scheme is read where the ledger is opened.
    if text != LEDGER_OFF and not _LEDGER_SCHEME.fullmatch(text):
        raise ValueError
    return None if text == LEDGER_OFF else text


def shown_scheme(url: str) -> str:
    """Of a URL that cannot be read its scheme, if that is a known one: all else in it may be a secret."""
    scheme, colon, _ = url.partition(":")
    stem = scheme.strip().lower().partition("+")[0]
    return f"{stem}:..." if colon and stem in _SCHEMES_SHOWN else "..."


def _ledger_shown(value: object) -> str:
    return shown_scheme(value) if isinstance(value, str) else f"({type(value).__name__})"


def _checked_policy(policy: object) -> str:
    if not isinstance(policy, str) or policy.lower() not in _POLICIES:
        raise ValueError
    return policy.lower()


_LIMIT: Final = Kind(_checked_limit, _limit, f"a whole number from 0 to {LIMIT_MAX}")
_SWITCH: Final = Kind(_checked_switch, _switch, "true or false")
_TIME: Final = Kind(_checked_seconds, _seconds, f"a number of seconds from 0 (off) to {SECONDS_MAX}")
_LEDGER: Final = Kind(_checked_ledger, _checked_ledger, _LEDGER_URLS, show=_ledger_shown, show_text=shown_scheme)
_POLICY: Final = Kind(_checked_policy, _checked_policy, "immutable, latest or own")
_PRICES: Final = Kind(_checked_prices, _prices, f"{GENAI_PRICES!r} or a function", GENAI_PRICES, show=str)


class Settings(NamedTuple):
    """The settings in force; `TABLE` says of each what it does, in this order."""

    agents_max: int = 100
    job_types_max: int = 50
    labels_max: int = 50
    hide_message: bool = False
    hide_metadata: bool = False
    outcome_span: bool = False
    handoffs: bool = False
    evaluation_result: bool = False
    prices: Prices | str | None = None
    stale_after_s: float = 0.0
    ledger: str | None = None
    ledger_sync: bool = True
    ledger_policy: str = OWN_POLICY
    ledger_hold_s: float = 3600.0
    ledger_deliver: bool = True

    @property
    def hidden(self) -> frozenset[str]:
        """The attributes whose texts must not leave."""
        message = {semconv.AGENT_OUTCOME_MESSAGE} if self.hide_message else set()
        return frozenset(message | ({semconv.AGENT_OUTCOME_METADATA} if self.hide_metadata else set()))


_ROWS: Final[Mapping[str, tuple[Kind, str]]] = {
    "agents_max": (_LIMIT, "agent names that become metric labels; further ones count as `_OTHER`"),
    "job_types_max": (_LIMIT, "job types, likewise"),
    "labels_max": (_LIMIT, "outcome labels, likewise"),
    "hide_message": (_SWITCH, "leave `agent.outcome.message` off events"),
    "hide_metadata": (_SWITCH, "leave `agent.outcome.metadata` off events"),
    "outcome_span": (_SWITCH, "add a zero-length child span with the outcome's attributes to every run"),
    "handoffs": (_SWITCH, "emit an event `agent.handoff` for every agent called within a run"),
    "evaluation_result": (_SWITCH, "emit `gen_ai.evaluation.result` events, too"),
    "prices": (_PRICES, "`genai-prices`, or in Python a function: what model calls cost that report only tokens"),
    "stale_after_s": (_TIME, "report a run that is still open after so many seconds"),
    "ledger": (
        _LEDGER,
        "keep every outcome in this database and deliver it from there: `sqlite:///outcomes.db`, `postgresql://...`",
    ),
    "ledger_sync": (_SWITCH, "commit a run before its span's end returns; else within 50 ms"),
    "ledger_policy": (
        _POLICY,
        "`immutable` or `latest`: whether a late report may change a result; `own`: as the ledger is",
    ),
    "ledger_hold_s": (_TIME, "how many seconds a late report is held for a run that is not there yet"),
    "ledger_deliver": (_SWITCH, "deliver what the ledger holds from this process; else `ledger deliver` does"),
}
TABLE: Final = tuple(
    Setting(name, _ROWS[name][0], default, _ROWS[name][1]) for name, default in Settings._field_defaults.items()
)
VARIABLES: Final[Mapping[str, str]] = {setting.name: setting.variable for setting in TABLE}
OTHER_VARIABLES: Final = frozenset(
    f"{SETTINGS_PREFIX}{name}"
    for name in (
        "BODY_MAX_MIB",
        "CONNECTIONS_MAX",
        "DELIVER_TO",
        "FORWARD_TO",
        "GATEWAY",
        "GATEWAY_KEY",
        "HELD_MAX_MIB",
        "IDLE_AFTER_S",
        "INFLATED_MAX_MIB",
        "JOURNAL_MAX_MIB",
        "KEY_BURST_MAX",
        "KEY_RATE_MAX",
        "LISTEN",
        "OPEN_MAX_S",
        "OTLP_GRPC",
        "OTLP_HTTP",
        "REQUESTS_MAX",
        "SETTLE_AFTER_S",
        "STATE_FOLDER",
        "TRACES_MAX",
        "TRACE_URL",
        "VERDICTS",
    )
)
"""What reports to a gateway and `agent-outcomes serve` read: no settings of ours, and no slips of who sets them."""


def read_settings(environ: Mapping[str, str] | None = None, /, **arguments: Unpack[SettingsArguments]) -> Settings:
    """The settings in force: an argument if given, else its variable, else the default.

    Raises `SettingsError` naming the argument or variable if a value cannot be used, and `TypeError` naming the
    arguments there are if there is none of a name.
    """
    variables = os.environ if environ is None else environ
    given: Mapping[str, Any] = arguments
    for name in given:
        if name not in VARIABLES:
            raise TypeError(_unknown_message(f"argument {name}", name, VARIABLES.keys()))
    in_force: dict[str, Any] = {setting.name: _read(setting, given.get(setting.name), variables) for setting in TABLE}
    return Settings(**in_force)


def read_setting(name: str, given: object = None, environ: Mapping[str, str] | None = None) -> object:
    """One setting that is needed without the others, whatever they are. Raises `SettingsError` as `read_settings`."""
    setting = next(setting for setting in TABLE if setting.name == name)
    return _read(setting, given, os.environ if environ is None else environ)


def lenient_settings(
    options: Mapping[str, object], complain: Callable[[str], object], environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings in force where nobody could catch an error: what cannot be used is named and left out of account.

    An option if it can be used, else its variable, else the default. `complain` gets one sentence for each option or
    variable that is not usable or not known. Never raises.
    """
    variables = os.environ if environ is None else environ
    for complaint in _unknown_names(options, variables):
        complain(complaint)
    in_force: dict[str, Any] = {
        setting.name: _usable(setting, options.get(setting.name), variables, complain) for setting in TABLE
    }
    return Settings(**in_force)


def _unknown_names(options: Mapping[str, object], variables: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(options.keys() - VARIABLES.keys()):
        yield _unknown_message(f"option {_shown(name)}", name, VARIABLES.keys())
    ours = {name for name in variables if name.startswith(SETTINGS_PREFIX)}
    for name in sorted(ours - set(VARIABLES.values()) - OTHER_VARIABLES):
        yield _unknown_message(_shown(name), name, VARIABLES.values())


def _usable(setting: Setting, given: object, variables: Mapping[str, str], complain: Callable[[str], object]) -> object:
    used = setting.default
    messages: list[str] = []
    for option in (None,) if given is None else (given, None):
        try:
            used = _read(setting, option, variables)
            break
        except SettingsError as error:
            messages.append(str(error))
    for message in messages:
        complain(f"{message}; {str(used).lower()} is used")
    return used


def _unknown_message(what: str, name: str, known: Collection[str]) -> str:
    import difflib  # noqa: PLC0415 - for a mistake only

    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(known)}"
    return f"{what} is not known; {hint}"


def _read(setting: Setting, given: object, variables: Mapping[str, str]) -> object:
    """One setting: as given, else by its variable, else the default."""
    kind = setting.kind
    if given is not None:
        try:
            return kind.check(given)
        except ValueError:
            raise SettingsError(_unusable_message(setting.name, _value_shown(kind, given), kind.takes)) from None
    text = variables.get(setting.variable, "").strip()
    if not text:
        return setting.default
    try:
        return kind.parse(text)
    except ValueError:
        shown = kind.show_text(text)
        raise SettingsError(_unusable_message(setting.variable, shown, kind.takes_as_text or kind.takes)) from None


def _unusable_message(name: str, value: str, takes: str) -> str:
    return f"{name}={_shown(value)} is not usable; give {takes}"


def _value_shown(kind: Kind, value: object) -> str:
    try:
        return kind.show(value)
    except ValueError:
        # A whole number of more digits than Python writes.
        return f"({type(value).__name__})"


def _shown(text: str) -> str:
    return printable(text[:_SHOWN_MAX])
