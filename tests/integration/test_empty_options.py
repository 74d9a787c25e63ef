# SPDX-License-Identifier: Apache-2.0
"""An option that is given without anything in it, as from a shell's variable that is not set: refused in words."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.cli import _parser, main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.backends


def commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Each command with its parser."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield words, parser
    for action in inner:
        for name, command in action.choices.items():
            yield from commands(command, (*words, name))


def takes_text(action: argparse.Action) -> bool:
    return action.nargs is None and not isinstance(action, argparse._SubParsersAction)


def needed(parser: argparse.ArgumentParser, tried: argparse.Action) -> list[argparse.Action]:
    """What must be given beside the one that is tried: of each choice the first."""
    choices = [group._group_actions for group in parser._mutually_exclusive_groups if group.required]
    firsts = [actions[0] for actions in choices if tried not in actions]
    return [action for action in parser._actions if action.required and takes_text(action)] + firsts


def arguments_of(parser: argparse.ArgumentParser, tried: argparse.Action, text: str) -> list[str]:
    made = []
    for action in {*needed(parser, tried), tried}:
        value = text if action is tried else next(iter(action.choices or ("1d",)))
        made += [f"{action.option_strings[0]}={value}"] if action.option_strings else [value]
    return made


TRIED = [
    (words, parser, action)
    for words, parser in commands(_parser([]))
    for action in parser._actions
    if takes_text(action)
]


@pytest.mark.parametrize("tried", TRIED, ids=[" ".join((*words, action.dest)) for words, _, action in TRIED])
@pytest.mark.parametrize("text", ["", "  "], ids=["empty", "blank"])
def test_an_empty_value_is_refused_and_nothing_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tried: tuple[tuple[str, ...], argparse.ArgumentParser, argparse.Action],
    text: str,
) -> None:
    """For whatever takes a value, of every command; the words name it."""
    words, parser, action = tried
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AGENT_OUTCOMES_LEDGER", raising=False)
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main([*words, *arguments_of(parser, action, text)]))
    assert ended.value.code == 2
    said = capsys.readouterr().err.rpartition("agent-outcomes")[2]
    named = {*action.option_strings, str(action.metavar)}
    assert any(name in said for name in named), said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_every_command_is_tried() -> None:
    assert {words[0] for words, _, _ in TRIED} >= {"serve", "keys", "ledger", "explain"}
    assert len(TRIED) > 60
