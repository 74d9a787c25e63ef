# SPDX-License-Identifier: Apache-2.0
"""Copied to where a program that the doctor runs finds it at its start; begins the watch when the SDK is loaded.

It must import nothing that the program would not have imported by itself, before the program does.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import json
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# Not one of AGENT_OUTCOMES_*, which are settings.
FOLDER_VARIABLE = "_AGENT_OUTCOMES_DOCTOR_FOLDER"
_SDK = "opentelemetry.sdk.trace"
_begun: list[bool] = []


class _Finder(MetaPathFinder):
    """Finds the SDK where it is, and lets the watch begin once it has been loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _SDK:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    def __init__(self, inner: Loader) -> None:
        self._inner = inner

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        _watch_from_first_provider(module.TracerProvider)


def start() -> None:
    """Begin the watch now, or at the first tracer provider. Never raises."""
    if _SDK in sys.modules:
        _watch()
    else:
        _note("{}")
        sys.meta_path.insert(0, _Finder())


def _watch_from_first_provider(provider_class: Any) -> None:
    # Not when the SDK is loaded: this package itself may be what is loading it.
    original = provider_class.__init__

    @functools.wraps(original)
    def watched(self: object, *args: object, **kwargs: object) -> None:
        original(self, *args, **kwargs)
        _watch(self)

    provider_class.__init__ = watched


def run_shadowed(name: str, own_folder: str) -> None:
    """Run the module that the program would have found under this name, were ours not before it."""
    paths = [path for path in sys.path if path != own_folder]
    spec = PathFinder.find_spec(name, paths)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _watch(provider: object = None) -> None:
    folder = os.environ.get(FOLDER_VARIABLE, "")
    if not folder or _begun:
        return
    _begun.append(True)
    try:
        watch = importlib.import_module("agent_outcomes.doctor.watch")
    except ImportError as error:
        _note(json.dumps({"error": f"{sys.executable}: {error}"[:300]}))
        return
    watch.begin(folder, provider)


def _note(text: str) -> None:
    folder = os.environ.get(FOLDER_VARIABLE, "")
    if folder:
        with contextlib.suppress(OSError):  # the doctor will find nothing, and say so
            (Path(folder) / f"{os.getpid()}.json").write_text(text, encoding="utf-8")
