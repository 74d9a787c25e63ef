# SPDX-License-Identifier: Apache-2.0
"""`python -m agent_outcomes` is the command `agent-outcomes`."""

import sys

from agent_outcomes.cli import main

sys.exit(main())
