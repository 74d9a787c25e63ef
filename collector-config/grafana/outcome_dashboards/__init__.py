# SPDX-License-Identifier: Apache-2.0
"""Builds the Grafana dashboards of this project; `python -m outcome_dashboards` writes them."""
