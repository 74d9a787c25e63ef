# SPDX-License-Identifier: Apache-2.0
"""Settings: every variable and argument, what they accept, and the errors that name them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_outcomes.sdk.processor import AgentOutcomeSpanProcessor
from agent_outcomes.settings import (
    LIMIT_MAX,
    TABLE,
    VARIABLES,
    Settings,
    SettingsError,
    lenient_settings,
    read_settings,
)
from agent_outcomes.settings_arguments import SettingsArguments
from tests.tools.generate_settings import DOCUMENT, with_table

if TYPE_CHECKING:
    from agent_outcomes.run.pricing import ModelCall

EXPECTED_VARIABLES = {
    "agents_max": "AGENT_OUTCOMES_AGENTS_MAX",
    "job_types_max": "AGENT_OUTCOMES_JOB_TYPES_MAX",
    "labels_max": "AGENT_OUTCOMES_LABELS_MAX",
    "hide_message": "AGENT_OUTCOMES_HIDE_MESSAGE",
    "hide_metadata": "AGENT_OUTCOMES_HIDE_METADATA",
    "outcome_span": "AGENT_OUTCOMES_OUTCOME_SPAN",
    "handoffs": "AGENT_OUTCOMES_HANDOFFS",
    "evaluation_result": "AGENT_OUTCOMES_EVALUATION_RESULT",
    "prices": "AGENT_OUTCOMES_PRICES",
    "stale_after_s": "AGENT_OUTCOMES_STALE_AFTER_S",
    "ledger": "AGENT_OUTCOMES_LEDGER",
    "ledger_sync": "AGENT_OUTCOMES_LEDGER_SYNC",
    "ledger_policy": "AGENT_OUTCOMES_LEDGER_POLICY",
    "ledger_hold_s": "AGENT_OUTCOMES_LEDGER_HOLD_S",
    "ledger_deliver": "AGENT_OUTCOMES_LEDGER_DELIVER",
}
LIMITS = ["agents_max", "job_types_max", "labels_max"]
OFF = ["hide_message", "hide_metadata", "outcome_span", "handoffs", "evaluation_result"]
ON = ["ledger_sync", "ledger_deliver"]
SWITCHES = OFF + ON
TIMES = ["stale_after_s", "ledger_hold_s"]
HIDDEN = "hunter2"


def read(environ: dict[str, str], **arguments: Any) -> Settings:
    return read_settings(environ, **arguments)


def test_the_defaults_are_those_of_the_design() -> None:
    """100 agents, 50 job types, 50 labels, nothing hidden, nothing emitted beside the outcome, and no ledger."""
    switches: dict[str, Any] = dict.fromkeys(OFF, False) | dict.fromkeys(ON, True)
    others: dict[str, Any] = {"prices": None, "ledger": None, "ledger_policy": "own"}
    assert read({}) == Settings(100, 50, 50, **switches, **others, stale_after_s=0, ledger_hold_s=3600)


def test_every_setting_has_its_variable() -> None:
    """One variable for each field, named after it."""
    assert VARIABLES == EXPECTED_VARIABLES
    assert list(Settings._fields) == list(EXPECTED_VARIABLES)


def test_type_checkers_know_each_setting_by_the_type_of_its_field() -> None:
    """The keyword arguments are those of the table, each of its field's type or `None`."""
    declared = {name: type_.removesuffix(" | None") for name, type_ in Settings.__annotations__.items()}
    keywords = {name: arg.__forward_arg__ for name, arg in SettingsArguments.__annotations__.items()}
    assert keywords == {name: f"{type_} | None" for name, type_ in declared.items()}
    assert SettingsArguments.__optional_keys__ == declared.keys()


def test_all_that_is_said_of_settings_follows_from_the_table() -> None:
    """The documented table is the one that is generated; the processor's documentation leaves none out."""
    document = DOCUMENT.read_text(encoding="utf-8")
    assert with_table(document) == document
    assert with_table(document.replace(f"`{TABLE[0].name}`", "`renamed`")) != document.replace(TABLE[0].name, "renamed")
    documented = AgentOutcomeSpanProcessor.__doc__ or ""
    assert [setting.name for setting in TABLE if setting.name not in documented] == []


@pytest.mark.parametrize("name", ["agent_max", "environ", "hide_messages", "xyz"])
def test_a_wrong_keyword_names_the_known_ones(name: str) -> None:
    """As Python does for a function that spells its arguments out; what reads the settings takes no others."""
    wrong: dict[str, Any] = {name: 3}
    for call in (read_settings, AgentOutcomeSpanProcessor):
        with pytest.raises(TypeError, match=rf"^argument {name} is not known; (did you mean|known are) \w+"):
            call(**wrong)


@given(text=st.text(st.characters(exclude_categories=()), max_size=200))
def test_no_value_breaks_out_of_the_line_that_names_it(text: str) -> None:
    """A variable's value, an option's or a name may hold anything; each complaint is one bounded printable line."""
    environ = dict.fromkeys(VARIABLES.values(), text) | {f"AGENT_OUTCOMES_{text}": "1"}
    options: dict[str, object] = {**dict.fromkeys(VARIABLES, text), text: 1}
    _, complaints = read_leniently(options, environ)
    assert complaints
    assert all(complaint.isprintable() for complaint in complaints)
    assert max(map(len, complaints)) < 1200


def test_a_number_too_long_to_be_written_is_named_by_its_type() -> None:
    """Python refuses to write whole numbers of more than 4,300 digits; that is no reason to raise."""
    settings, complaints = read_leniently({"agents_max": 10**5000}, {})
    assert settings == Settings()
    assert complaints == ["agents_max=(int) is not usable; give a whole number from 0 to 500; 100 is used"]


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [0, 1, 500])
def test_a_limit_by_variable_or_argument(name: str, value: int) -> None:
    """Both mean the same, blanks around a variable's value are nothing, and the argument wins."""
    variable = EXPECTED_VARIABLES[name]
    assert getattr(read({variable: str(value)}), name) == value
    assert getattr(read({variable: f" {value} "}), name) == value
    assert getattr(read({}, **{name: value}), name) == value
    assert getattr(read({variable: "7"}, **{name: value}), name) == value


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in ("1", "true", "TRUE", "yes", "on", " True ")),
        *((text, False) for text in ("0", "false", "False", "no", "off")),
    ],
)
def test_a_switch_by_variable_or_argument(name: str, text: str, expected: bool) -> None:  # noqa: FBT001 - a column
    """The usual words in any case; the argument wins."""
    variable = EXPECTED_VARIABLES[name]
    assert getattr(read({variable: text}), name) is expected
    assert getattr(read({variable: text}, **{name: not expected}), name) is not expected


@pytest.mark.parametrize("name", EXPECTED_VARIABLES)
@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_variable_is_no_setting(name: str, blank: str) -> None:
    """As OpenTelemetry has it, an empty variable is as good as none."""
    assert read({EXPECTED_VARIABLES[name]: blank}) == Settings()


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("text", ["many", "-1", "501", "1.5", "1e2", "0x10", "9" * 5000, "٣", "1_0", "None"])
def test_a_bad_limit_names_its_variable(name: str, text: str) -> None:
    """The error says which variable, what it was and what would do, in a bounded message."""
    with pytest.raises(SettingsError) as caught:
        read({EXPECTED_VARIABLES[name]: text})
    message = str(caught.value)
    assert message.startswith(f"{EXPECTED_VARIABLES[name]}={text[:80]} is not usable")
    assert message.endswith("give a whole number from 0 to 500")
    assert len(message) < 200


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("text", ["maybe", "2", "tru", "y" * 500])
def test_a_bad_switch_names_its_variable(name: str, text: str) -> None:
    """The error says which variable, what it was and what would do."""
    with pytest.raises(SettingsError) as caught:
        read({EXPECTED_VARIABLES[name]: text})
    assert str(caught.value) == f"{EXPECTED_VARIABLES[name]}={text[:80]} is not usable; give true or false"


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [-1, 501, 2**70, True, 1.5, "5", [5]])
def test_a_bad_limit_names_its_argument(name: str, value: Any) -> None:
    """Also where the type is wrong: neither a number as text nor a bool is a limit."""
    with pytest.raises(SettingsError, match=f"^{name}="):
        read({}, **{name: value})


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", ["false", "true", 0, 1, [True]])
def test_a_bad_switch_names_its_argument(name: str, value: Any) -> None:
    """The text "false" is truthy, so only a bool is a switch."""
    with pytest.raises(SettingsError, match=f"^{name}="):
        read({}, **{name: value})


def test_prices_by_variable_or_argument() -> None:
    """A word by either, a function by the argument alone, which wins; nothing is none."""

    def nothing(_: ModelCall) -> None:
        return None

    variable = {"AGENT_OUTCOMES_PRICES": " GenAI-Prices "}
    assert read(variable).prices == read({}, prices="genai-prices").prices == "genai-prices"
    assert read(variable, prices=nothing).prices is nothing
    assert (read({}).prices, read({"AGENT_OUTCOMES_PRICES": " "}).prices) == (None, None)


def test_bad_prices_are_named() -> None:
    """The error says where they were given and what would do."""
    with pytest.raises(SettingsError) as caught:
        read({"AGENT_OUTCOMES_PRICES": "litellm"})
    assert str(caught.value) == "AGENT_OUTCOMES_PRICES=litellm is not usable; give genai-prices"
    for value in ("litellm", 5, {"gpt-4o": 2.5}):
        with pytest.raises(SettingsError, match=r"^prices=.* give 'genai-prices' or a function$"):
            read({}, prices=value)


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("900", 900), ("0.5", 0.5), (" 1.25 ", 1.25), ("604800", 604800)]
)
def test_a_time_by_variable_or_argument(name: str, text: str, seconds: float) -> None:
    """In seconds and parts of them, as a number of either kind."""
    assert getattr(read({VARIABLES[name]: text}), name) == seconds
    assert getattr(read({VARIABLES[name]: "7"}, **{name: seconds}), name) == seconds


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("text", ["-1", "soon", "604801", "1e3", "nan", "inf", "5 s", "\u0665", "9" * 400])
def test_a_bad_time_names_its_variable(name: str, text: str) -> None:
    """The error says which variable, what it was and what would do."""
    with pytest.raises(SettingsError) as caught:
        read({VARIABLES[name]: text})
    assert str(caught.value).startswith(f"{VARIABLES[name]}=")
    assert str(caught.value).endswith(" is not usable; give a number of seconds from 0 (off) to 604800")


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("value", [-1, 604801, 2**5000, True, "900", math.nan, math.inf, [5]])
def test_a_bad_time_names_its_argument(name: str, value: Any) -> None:
    """Text is for variables."""
    with pytest.raises(SettingsError, match=f"^{name}="):
        read({}, **{name: value})


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///outcomes.db",
        "sqlite:////srv/o.db",
        "postgresql://a:b@db/o",
        "postgres://db/o",
        "postgresql+psycopg://",
    ],
)
def test_a_ledger_by_variable_or_argument(url: str) -> None:
    """A URL by either; blanks around it are nothing, and the argument wins."""
    variable = EXPECTED_VARIABLES["ledger"]
    assert read({variable: f" {url} "}).ledger == read({}, ledger=f"{url}\n").ledger == url
    assert read({variable: "sqlite:///other.db"}, ledger=url).ledger == url
    assert read({variable: url}, ledger="none").ledger is None
    assert read({variable: " none"}).ledger is None


@pytest.mark.parametrize(
    "text", [f"mysql://u:{HIDDEN}@db/o", f"u:{HIDDEN}@db", f"sqlite3:{HIDDEN}", f"postgresqls://u:{HIDDEN}@h/d", "db"]
)
def test_a_bad_ledger_is_named_without_its_password(text: str) -> None:
    """A scheme that is known is shown, and nothing else."""
    variable = EXPECTED_VARIABLES["ledger"]
    known = {"mysql", "sqlite3", "postgresqls"}
    for name in (variable, "ledger"):
        with pytest.raises(SettingsError) as caught:
            read({variable: text}) if name == variable else read({}, ledger=text)
        scheme = text.partition(":")[0]
        shown = f"{scheme}:..." if scheme in known else "..."
        assert str(caught.value).startswith(f"{name}={shown} is not usable; give the URL of a database, sqlite:///")
        assert HIDDEN not in str(caught.value)


@pytest.mark.parametrize("value", ["", "  ", 5, b"sqlite:///hunter2", ["sqlite:///hunter2"]])
def test_a_ledger_that_is_no_text_is_named_by_its_type(value: Any) -> None:
    """Its value may hold a password as well."""
    with pytest.raises(SettingsError, match=r"^ledger=") as caught:
        read({}, ledger=value)
    assert HIDDEN not in str(caught.value)


@pytest.mark.parametrize("word", ["immutable", "latest", "LATEST", "own"])
def test_a_policy_is_one_of_three_words(word: str) -> None:
    """In any case, by variable or argument."""
    variable = EXPECTED_VARIABLES["ledger_policy"]
    assert read({variable: word}).ledger_policy == read({}, ledger_policy=word).ledger_policy == word.lower()
    for bad in ("newest", "immutable,latest"):
        with pytest.raises(SettingsError, match=f"^{variable}={bad} is not usable; give immutable, latest or own$"):
            read({variable: bad})


def test_a_bad_variable_does_not_matter_where_the_argument_is_given() -> None:
    """What is not read is not judged."""
    assert read({"AGENT_OUTCOMES_AGENTS_MAX": "many"}, agents_max=3).agents_max == 3
    assert read({"AGENT_OUTCOMES_HIDE_MESSAGE": "maybe"}, hide_message=True).hide_message is True


def test_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping the process's own variables count."""
    monkeypatch.setenv("AGENT_OUTCOMES_LABELS_MAX", "9")
    assert read_settings().labels_max == 9


@settings(deadline=None)
@given(text=st.text(max_size=20))
def test_any_text_is_a_limit_or_a_settings_error(text: str) -> None:
    """No text makes anything else than a limit in range or the error."""
    try:
        assert 0 <= read({"AGENT_OUTCOMES_AGENTS_MAX": text}).agents_max <= LIMIT_MAX
    except SettingsError as error:
        assert "AGENT_OUTCOMES_AGENTS_MAX" in str(error)  # noqa: PT017 - either branch is right


def test_a_settings_error_is_a_value_error() -> None:
    """Callers that know nothing of us can catch it."""
    assert issubclass(SettingsError, ValueError)


# Where nobody could catch an error


def read_leniently(options: dict[str, object], environ: dict[str, str]) -> tuple[Settings, list[str]]:
    complaints: list[str] = []
    return lenient_settings(options, complaints.append, environ), complaints


GOOD: dict[str, tuple[object, str]] = {
    **dict.fromkeys(LIMITS, (7, "7")),
    **dict.fromkeys(OFF, (True, "yes")),
    **dict.fromkeys(ON, (False, "no")),
    **dict.fromkeys(TIMES, (1.5, "1.5")),
    "prices": ("genai-prices", "genai-prices"),
    "ledger": ("sqlite:///o.db", "sqlite:///o.db"),
    "ledger_policy": ("latest", "latest"),
}
BAD_VALUES: dict[str, list[object]] = {
    **{name: ["7", -1, 501, 7.0, True, [7], {"is": 7}] for name in LIMITS},
    **{name: ["true", 1, 0, [True], {}] for name in SWITCHES},
    **{name: ["900", -1, True, [5]] for name in TIMES},
    "prices": ["litellm", {"gpt-4o": 2.5}],
    "ledger": ["outcomes.db"],
    "ledger_policy": ["newest", True, ["latest"]],
}


@pytest.mark.parametrize("name", list(VARIABLES))
def test_leniently_a_good_option_or_variable_counts(name: str) -> None:
    """As strictly: the option before the variable, and nothing is complained of."""
    value, text = GOOD[name]
    default = getattr(Settings(), name)
    assert read_leniently({name: value}, {}) == (Settings(**{name: value}), [])  # type: ignore[arg-type]
    assert read_leniently({}, {VARIABLES[name]: text}) == (Settings(**{name: value}), [])  # type: ignore[arg-type]
    kept: dict[str, Any] = {} if default is not None else {name: value}
    assert read_leniently({name: default}, {VARIABLES[name]: text}) == (Settings(**kept), [])
    assert read_leniently({name: None}, {VARIABLES[name]: " "}) == (Settings(), [])


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in VARIABLES for value in BAD_VALUES[name]])
def test_leniently_a_bad_option_is_named_and_the_variable_or_default_taken(name: str, value: object) -> None:
    """One complaint, with what is used; every other option stays in force."""
    other = "labels_max" if name != "labels_max" else "agents_max"
    settings, complaints = read_leniently({name: value, other: 3}, {})
    (complaint,) = complaints
    default = str(getattr(Settings(), name)).lower()
    shown = {"prices": value, "ledger": "..."}.get(name, repr(value))
    assert complaint.startswith(f"{name}={shown} is not usable; give ")
    assert complaint.endswith(f"; {default} is used")
    assert settings == Settings(**{other: 3})  # type: ignore[arg-type]
    good, text = GOOD[name]
    settings, complaints = read_leniently({name: value}, {VARIABLES[name]: text})
    assert getattr(settings, name) == good
    assert [complaint.endswith(f"; {str(good).lower()} is used") for complaint in complaints] == [True]


@pytest.mark.parametrize("name", list(VARIABLES))
def test_leniently_a_bad_variable_is_named_once(name: str) -> None:
    """The variable, what it takes and what is used; both complaints where the option is bad, too."""
    (complaint,) = read_leniently({}, {VARIABLES[name]: "perhaps"})[1]
    shown = "..." if name == "ledger" else "perhaps"
    assert complaint.startswith(f"{VARIABLES[name]}={shown} is not usable; give ")
    settings, complaints = read_leniently({name: "perhaps"}, {VARIABLES[name]: "perhaps"})
    assert (settings, [one.split("=")[0] for one in complaints]) == (Settings(), [name, VARIABLES[name]])


@pytest.mark.parametrize(
    ("options", "environ", "expected"),
    [
        ({"label_max": 3}, {}, "option label_max is not known; did you mean labels_max?"),
        ({}, {"AGENT_OUTCOMES_HANDOFF": "1"}, "AGENT_OUTCOMES_HANDOFF is not known; did you mean"),
        ({"xyz": 3}, {}, "option xyz is not known; known are agents_max, "),
    ],
)
def test_leniently_an_unknown_name_is_said(options: dict[str, object], environ: dict[str, str], expected: str) -> None:
    """A slip in a name would otherwise switch an option off in silence."""
    settings, (complaint,) = read_leniently(options, {**environ, "OTHER": "1"})
    assert complaint.startswith(expected)
    assert settings == Settings()
