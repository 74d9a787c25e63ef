# SPDX-License-Identifier: Apache-2.0
"""Pinned npm packages, installed once into the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

TIMEOUT_S: Final = 240


def node_modules_of(project: Path) -> Path:
    """The installed packages of a folder with package.json and package-lock.json.

    Without npm the test is skipped, and with `CI=true` it fails.
    """
    if shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"npm is needed for {project.name}", pytrace=False)
        pytest.skip(f"npm is not on PATH: install Node.js 20 or later to run the tests of {project.name}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-agent-outcomes" / "npm"
    key = hashlib.sha256((project / "package-lock.json").read_bytes()).hexdigest()[:16]
    if not (cache / key).exists():
        cache.mkdir(parents=True, exist_ok=True)
        _install(project, cache / key)
    return cache / key / "node_modules"


def _install(project: Path, target: Path) -> None:
    # Beside the target, so that the last step is a rename: nobody sees half an installation.
    with tempfile.TemporaryDirectory(prefix="installing-", dir=target.parent) as work:
        folder = Path(work) / "new"
        folder.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(project / name, folder)
        command = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stderr
        if not target.exists():
            folder.rename(target)
