# SPDX-License-Identifier: Apache-2.0
"""Which spans are runs."""
