# SPDX-License-Identifier: Apache-2.0
"""`install()`, and instrumentation without code."""
