# SPDX-License-Identifier: Apache-2.0
"""The flags of `serve`, as options and as variables."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.gateway.settings import Address, AssemblyLimits, GatewaySettings, ReceiverLimits
from agent_outcomes.gateway_command import values
from agent_outcomes.gateway_command.flags import FLAGS, Flag, gateway_settings, ledger_url
from agent_outcomes.settings import OTHER_VARIABLES, VARIABLES, SettingsError

pytestmark = pytest.mark.backends

STATE = {"XDG_STATE_HOME": "/var/lib/here"}
USABLE = {
    "otlp_grpc": ("[::1]:0", Address("::1", 0)),
    "otlp_http": ("none", None),
    "listen": ("gateway.example:80", Address("gateway.example", 80)),
    "ledger": ("postgresql://u:p@db/outcomes", "postgresql://u:p@db/outcomes"),
    "state_folder": ("/srv/state", Path("/srv/state")),
    "deliver_to": ("http://collector:14318", "http://collector:14318"),
    "forward_to": ("https://collector:4318/x", "https://collector:4318/x"),
    "verdicts": ("a=score>=0.8; b=pass", ("a=score>=0.8", "b=pass")),
    "trace_url": ("https://jaeger/trace/{trace_id}", "https://jaeger/trace/{trace_id}"),
    "ledger_hold_s": ("0", 0.0),
    "settle_after_s": ("0.25", 0.25),
    "idle_after_s": ("7", 7.0),
    "open_max_s": ("9", 9.0),
    "traces_max": ("12", 12),
    "held_max_mib": ("3", 3 * 2**20),
    "journal_max_mib": ("8", 8 * 2**20),
    "body_max_mib": ("1", 2**20),
    "inflated_max_mib": ("2", 2 * 2**20),
    "connections_max": ("5", 5),
    "key_rate_max": ("40", 40),
    "key_burst_max": ("70", 70),
    "requests_max": ("6", 6),
}
UNUSABLE = {
    "otlp_grpc": "4317",
    "otlp_http": "127.0.0.1:65536",
    "listen": "http://127.0.0.1:80",
    "ledger": "mysql://x",
    "deliver_to": "collector:4317",
    "forward_to": "ftp://x",
    "verdicts": "relevance",
    "trace_url": "https://jaeger/trace/",
    "ledger_hold_s": "-1",
    "settle_after_s": "0",
    "idle_after_s": "nan",
    "open_max_s": "1e9",
    "traces_max": "0",
    "held_max_mib": "1.5",
    "journal_max_mib": "",
    "body_max_mib": "x",
    "inflated_max_mib": "-2",
    "connections_max": "٣",
    "key_rate_max": "0",
    "key_burst_max": "2.5",
    "requests_max": "1" * 400,
}


def in_settings(settings: GatewaySettings, place: str) -> object:
    found: object = settings
    for name in place.split("."):
        found = getattr(found, name)
    return found


def test_every_flag_is_tested_and_every_setting_has_one() -> None:
    """All of `GatewaySettings` can be said on the command line but single limits that are nobody's to choose."""
    assert {flag.name for flag in FLAGS} == set(USABLE)
    places = {flag.place.partition(".")[0] for flag in FLAGS}
    assert places == {field.name for field in fields(GatewaySettings)}


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_option_and_variable_mean_the_same(flag: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the option stands before the variable."""
    from agent_outcomes.gateway_command.flags import Flag  # noqa: PLC0415

    assert isinstance(flag, Flag)
    monkeypatch.setenv("XDG_STATE_HOME", "/var/lib/here")
    text, value = USABLE[flag.name]
    as_given = text.split(";") if flag.is_repeated else text
    assert in_settings(gateway_settings({flag.name: as_given}, {}), flag.place) == value
    assert in_settings(gateway_settings({}, {flag.variable: f" {text} "}), flag.place) == value
    both = gateway_settings({flag.name: as_given}, {flag.variable: "\0 of no use"})
    assert in_settings(both, flag.place) == value


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_used_is_refused_by_name(name: str) -> None:
    """The message names the option, or the variable, that was given."""
    flag = next(flag for flag in FLAGS if flag.name == name)
    text = UNUSABLE[name]
    with pytest.raises(SettingsError, match=flag.option):
        gateway_settings({name: [text] if flag.is_repeated else text}, {})
    if text:
        with pytest.raises(SettingsError, match=flag.variable):
            gateway_settings({}, {flag.variable: text})


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
@given(st.text(" \t\n", max_size=3))
def test_nothing_is_no_value_of_an_option(flag: Flag, text: str) -> None:
    """It is refused; a variable that is empty is as one that is not set."""
    with pytest.raises(SettingsError, match=flag.option):
        gateway_settings({flag.name: [text] if flag.is_repeated else text}, {})
    assert gateway_settings({}, {flag.variable: text}) == gateway_settings({}, {})


@pytest.mark.parametrize("text", ["\0", "a\0b", "~nobody-of-this-name/state"])
def test_what_can_be_no_folder_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--state-folder"):
        gateway_settings({"state_folder": text}, {})


def test_the_defaults_are_loopback_and_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the specification has them."""
    monkeypatch.setenv("XDG_STATE_HOME", "/var/lib/he re")
    settings = gateway_settings({}, {})
    assert settings == GatewaySettings(
        "sqlite:////var/lib/he re/agent-outcomes/ledger.db", Path("/var/lib/he re/agent-outcomes")
    )
    assert (settings.assembly, settings.receiver) == (AssemblyLimits(), ReceiverLimits())
    assert ledger_url(None, {}) == settings.ledger


def test_keys_look_where_the_gateway_keeps_its_ledger() -> None:
    """By option, by variable, in the state folder that is named."""
    assert ledger_url("sqlite:///a.db", {"AGENT_OUTCOMES_LEDGER": "sqlite:///b.db"}) == "sqlite:///a.db"
    assert ledger_url(None, {"AGENT_OUTCOMES_LEDGER": "sqlite:///b.db"}) == "sqlite:///b.db"
    environ = {"AGENT_OUTCOMES_STATE_FOLDER": "/srv/50%"}
    assert ledger_url(None, environ) == gateway_settings({}, environ).ledger == "sqlite:////srv/50%25/ledger.db"


@pytest.mark.parametrize("name", ["ledger", "deliver_to", "forward_to", "trace_url"])
def test_a_password_is_in_no_message(name: str) -> None:
    """Whatever else is wrong with the URL."""
    flag = next(flag for flag in FLAGS if flag.name == name)
    with pytest.raises(SettingsError) as refused:
        gateway_settings({name: "nosuch://user:hunter2@host:1/"}, {})
    assert "hunter2" not in str(refused.value)
    assert flag.option in str(refused.value)


@given(st.text(max_size=60))
def test_whatever_is_given_is_read_or_refused(text: str) -> None:
    """Never anything but a value or a `ValueError`."""
    for read in (
        values.listener_address,
        values.web_url,
        values.trace_url,
        values.seconds,
        values.whole,
        values.mib,
        values.rules,
    ):
        try:
            read(text)
        except ValueError:
            continue


def test_no_flag_s_variable_is_taken_for_a_slip() -> None:
    """A program that reads our settings in the same environment does not complain of it."""
    assert {flag.variable for flag in FLAGS} <= OTHER_VARIABLES | set(VARIABLES.values())
    assert set(VARIABLES.values()).isdisjoint(OTHER_VARIABLES)
