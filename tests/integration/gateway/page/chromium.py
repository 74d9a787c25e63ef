# SPDX-License-Identifier: Apache-2.0
"""A real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS: Final = 90_000
Theme = Literal["light", "dark"]


def chromium_path() -> str:
    """Where Chromium is; skips the test where there is none, and fails it in CI."""
    for name in NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    why = "no Chromium is installed (Debian: apt-get install chromium)"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of its own. None may be open while other tests run an event loop of theirs in this thread."""
    path = chromium_path()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - takes long, and only where there is a browser

    with sync_playwright() as playwright:
        # Root, as in containers, may not use the sandbox.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def page_of(
    started: Browser, url: str, *, width: int = 1400, theme: Theme = "light", scripts: bool = True
) -> Iterator[Page]:
    """A page in a window of that width; fails if anything was complained of on its console, or a dialog opened."""
    window = started.new_context(
        base_url=url,
        viewport={"width": width, "height": 900},
        color_scheme=theme,
        java_script_enabled=scripts,
        reduced_motion="reduce",
    )
    complaints: list[str] = []
    try:
        page = window.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        yield page
        assert not complaints, complaints
    finally:
        window.close()
