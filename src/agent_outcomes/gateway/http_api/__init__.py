# SPDX-License-Identifier: Apache-2.0
"""The HTTP API, its OpenAPI document, and the shapes that clients of other systems send."""
