# SPDX-License-Identifier: Apache-2.0
"""Exceptions that were caused by others."""

from __future__ import annotations


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error
