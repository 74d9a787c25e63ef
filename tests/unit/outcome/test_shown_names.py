# SPDX-License-Identifier: Apache-2.0
"""Of what stands in an error's name only that of a class or a code is shown."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_outcomes.outcome.codes import GRPC_RULES, HTTP_RULES
from agent_outcomes.outcome.error_classes import ERROR_RULES
from agent_outcomes.outcome.foreign_classes import FOREIGN_RULES
from agent_outcomes.outcome.shown_names import is_name, shown_name
from agent_outcomes.outcome.vendor_codes import CODE_RULES, JSON_RPC_RULES, NETWORK_RULES, TYPE_RULES

TABLES = [GRPC_RULES, CODE_RULES, NETWORK_RULES, TYPE_RULES, JSON_RPC_RULES, {str(code): 0 for code in HTTP_RULES}]
CLASSES = [name for _, names in (*ERROR_RULES, *FOREIGN_RULES) for name in names]


@pytest.mark.parametrize("name", sorted({*CLASSES, *(code for table in TABLES for code in table)}))
def test_every_name_of_the_tables(name: str) -> None:
    """Whatever a row is called by is a name, with a module, an address or Python's own words around it as well."""
    assert is_name(name)
    for text in (name, f"my_app.{name}", f"com.amazonaws#{name}:http://internal.amazon.com/coral/", f"_{name}"):
        assert shown_name(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "_OTHER",
        "-32603",
        "0x80070005",
        "java.util.concurrent.CompletionException$Inner",
        "std::io::Error",
        "alloc::boxed::Box<dyn core::error::Error + Send + Sync>",
        "Acme.Result<System.Int32, Acme.Failure>",
        "Acme.Wrapper`1[System.Int32]",
        "*url.Error",
        "GuzzleHttp\\Exception\\ClientException",
        "Elixir.Req.TransportError",
        "TypeError [ERR_INVALID_ARG_TYPE]",
        "<class 'acme.errors.Declined'>",
        "app.main.<locals>.Declined",
        "Überlauf",
        "Rate limit exceeded",
        "Too Many Requests",
    ],
)
def test_names_of_many_languages(name: str) -> None:
    """A class of any language and a code, spelled with blanks or without, stay as they are."""
    assert shown_name(name) == name


@pytest.mark.parametrize("name", ["acme.PaymentError", "java.lang.IllegalStateException", "openai.RateLimitError"])
@pytest.mark.parametrize(
    "form",
    [
        "{0}: {1}",
        "{0}('{1}')",
        'Exception in thread "main" {0}: {1}',
        "Uncaught {0}: {1}",
        'Traceback (most recent call last):\n  File "x.py", line 3, in pay\n    charge(card)\n{0}: {1}',
    ],
)
def test_a_class_before_its_message(name: str, form: str) -> None:
    """What a language prints of an exception is shown by its class alone."""
    assert shown_name(form.format(name, "no account 77 of John Doe")) == name


@pytest.mark.parametrize(
    "message",
    [
        "no account 77 of John Doe",
        "John Doe: no account",
        "john@example.org",
        '{"account":"77"}',
        "'77'",
        "(77)",
        "[Errno 13] Permission denied: '/home/john'",
        "John has exceeded his limit. Rate limit exceeded",
        "口座が見つかりません",
        "net/http: request canceled",
        "",
    ],
)
def test_messages(message: str) -> None:
    """What is no name is shown to nobody."""
    assert shown_name(message) is None


@given(st.text(alphabet="aZ.<>[]: \\$`'(\n4", max_size=200))
def test_it_takes_no_time(text: str) -> None:
    """No text takes long, whatever brackets are open in it; what is shown stands in it."""
    before_s = time.process_time()
    shown = shown_name(text)
    assert time.process_time() - before_s < 1
    assert shown is None or shown in text


@pytest.mark.parametrize("part", ["a", "<", "<>", "[]", "a<", "<a>", "a.", "a:", ": ", " ", "  \n", "a ["])
def test_the_longest_texts_take_no_time(part: str) -> None:
    """Nor does the longest text that is looked at, of what a pattern may split in many ways."""
    before_s = time.process_time()
    for text in (part * 200, f"{part * 200}!", f"Traceback (most recent call last):\n{part * 200}!"):
        shown_name(text[:200])
    assert time.process_time() - before_s < 1
