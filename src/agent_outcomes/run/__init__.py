# SPDX-License-Identifier: Apache-2.0
"""One agent span and what is below it, made a run. Pure."""
