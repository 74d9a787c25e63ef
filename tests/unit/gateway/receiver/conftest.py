# SPDX-License-Identifier: Apache-2.0
"""What tests of the receiver share."""

from __future__ import annotations

from tests.gateway_receiver import listeners

__all__ = ["listeners"]
