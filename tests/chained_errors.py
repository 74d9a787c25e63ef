# SPDX-License-Identifier: Apache-2.0
"""Exceptions of any name, and those that were caused by others."""

from __future__ import annotations

from typing import Any


def error_class(name: str, *parents: type[BaseException], **attributes: Any) -> type[BaseException]:
    """A class of this full name; one without a package is taken for Python's own."""
    module, _, short = name.rpartition(".")
    return type(
        short, parents or (Exception,), {"__module__": module or "builtins", "__qualname__": short, **attributes}
    )


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error
