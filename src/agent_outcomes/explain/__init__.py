# SPDX-License-Identifier: Apache-2.0
"""`agent-outcomes explain`: why a run is what it is."""
