# SPDX-License-Identifier: Apache-2.0
"""Listeners, health, own metrics and the life of the process."""
