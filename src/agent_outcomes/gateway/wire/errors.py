# SPDX-License-Identifier: Apache-2.0
"""Why bytes are not taken."""

from __future__ import annotations


class WireError(ValueError):
    """The bytes are not the OTLP message they should be; the message says what is wrong, and holds none of them."""


class TooMuchError(WireError):
    """The message could be read, but holds more than one request may."""
