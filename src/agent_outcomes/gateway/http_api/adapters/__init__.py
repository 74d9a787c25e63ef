# SPDX-License-Identifier: Apache-2.0
"""Reports in the words and with the codes of other systems, whose clients need another base URL only."""
