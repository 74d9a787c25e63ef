# SPDX-License-Identifier: Apache-2.0
"""The page in a real Chromium: both themes, wide and narrow, by keyboard alone, with and without scripts."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from agent_outcomes.ledger.keys import Right, create_key
from agent_outcomes.ledger.location import read_location
from agent_outcomes.ledger.store import Store
from agent_outcomes.semconv import State
from tests.acceptances import pending, random_acceptance
from tests.integration.gateway.page.chromium import browser, page_of
from tests.integration.gateway.page.site import all_runs, site
from tests.integration.gateway.page.test_views import accept_hostile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.integration.gateway.page.chromium import Theme

pytestmark = pytest.mark.backends

# Of every element with a text of its own: its colour against what is painted behind it, by WCAG 2.
CONTRASTS = """() => {
  const parts = (colour) => {
    const found = colour.match(/[\\d.]+/g).map(Number);
    return colour.startsWith("color(srgb") ? [...found.slice(0, 3).map((x) => x * 255), found[3] ?? 1]
      : [...found.slice(0, 3), found[3] ?? 1];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour[3] > 0.99) return colour;
    }
    return [255, 255, 255, 1];
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.closest("svg, [hidden], .away, .skip") || !element.getClientRects().length) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...new Set(faint)];
}"""
RING = """() => {
  const focused = document.activeElement;
  if (!focused || focused === document.body) return null;
  const style = getComputedStyle(focused);
  const box = focused.getBoundingClientRect();
  return {
    name: (focused.getAttribute("aria-label") || focused.innerText || focused.name || focused.tagName).slice(0, 40),
    hasRing: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    isThere: box.width > 0 && box.height > 0,
  };
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One for all tests of this module."""
    with browser() as started:
        yield started


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A ledger of its own."""
    opened = Store.open(read_location(f"sqlite:///{tmp_path}/ledger.db"))
    yield opened
    opened.close()


def _fill(store: Store) -> str:
    """Runs of every kind, and some that wait; the outcome id of one."""
    random = Random(5)
    store.accept([random_acceptance(random, number) for number in range(1, 120)])
    made = pending(500, agent="support")
    store.accept([made, *(pending(500 + number, agent="sales") for number in range(1, 6))])
    return made.run.id


def _views(outcome_id: str) -> tuple[str, ...]:
    return ("/?range=24h", "/", "/judge", "/judge?agent=nobody", "/runs", f"/runs/{outcome_id}", "/runs?agent=nobody")


def _is_sound(page: Page) -> None:
    """Nothing is wider than the window, every text can be read, every field has a name."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate(CONTRASTS) == []
    nameless = """() => [...document.querySelectorAll("input:not([type=hidden]), select, button:not([hidden])")]
      .filter((e) => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map((e) => e.outerHTML)"""
    assert page.evaluate(nameless) == []
    assert page.locator("h1").count() == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 800])
def test_every_view_in_both_themes_wide_and_narrow(chromium: Browser, store: Store, theme: Theme, width: int) -> None:
    """No complaint on the console, nothing cut off at the side, contrast of 4.5 at least; the themes differ."""
    outcome_id = _fill(store)
    with site(store) as url, page_of(chromium, url, width=width, theme=theme) as page:
        for path in _views(outcome_id):
            answer = page.goto(path)
            assert answer is not None
            assert answer.status == 200
            _is_sound(page)
            ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            brightness = sum(int(part) for part in ground.strip("rgb()").split(","))
            assert (brightness > 600) is (theme == "light")
        missing = page.request.get("/runs/none")
        assert missing.status == 404


def test_judging_by_single_keys(chromium: Browser, store: Store) -> None:
    """One key a verdict and the next run is there; in a field the keys are text."""
    _fill(store)
    waiting = sum(row.state is State.PENDING for row in all_runs(store))
    with site(store) as url, page_of(chromium, url) as page:
        page.goto("/judge")
        for key in ("s", "n"):
            shown = page.locator("form[action^='/judge/']").get_attribute("action")
            with page.expect_navigation():
                page.keyboard.press(key)
            assert page.locator("form[action^='/judge/']").get_attribute("action") != shown
            assert page.get_by_role("status").is_visible()
        page.keyboard.press("l")
        page.keyboard.type("n s k")
        assert page.get_by_label("Label").input_value() == "n s k"
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        with page.expect_navigation():
            page.keyboard.press("k")
    assert sum(row.state is State.PENDING for row in all_runs(store)) == waiting - 2
    labels = {row.standing.content.outcome.label for row in all_runs(store) if row.standing.content}
    assert "n s k" not in labels


@pytest.mark.parametrize("scripts", [True, False])
def test_a_verdict_with_tab_and_enter_alone(chromium: Browser, store: Store, scripts: bool) -> None:  # noqa: FBT001
    """Every stop has a ring that can be seen, and a verdict is reached and given, also without scripts."""
    _fill(store)
    waiting = sum(row.state is State.PENDING for row in all_runs(store))
    with site(store) as url, page_of(chromium, url, scripts=scripts) as page:
        page.goto("/judge")
        stops: list[str] = []
        while not stops or not stops[-1].startswith("No success"):
            page.keyboard.press("Tab")
            stop = page.evaluate(RING)
            assert stop is not None
            assert stop["hasRing"], stop
            assert stop["isThere"], stop
            stops.append(stop["name"])
            assert len(stops) < 60
        assert stops[0] == "Skip to content"
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert "no success" in page.get_by_role("status").inner_text()
    assert sum(row.state is State.PENDING for row in all_runs(store)) == waiting - 1


def test_every_stop_of_every_view_has_a_ring(chromium: Browser, store: Store) -> None:
    """Tab leads through a whole page and out of it, and always shows where it is."""
    outcome_id = _fill(store)
    with site(store) as url, page_of(chromium, url, theme="dark") as page:
        for path in ("/?range=24h", "/judge", f"/runs/{outcome_id}"):
            page.goto(path)
            for _ in range(400):
                page.keyboard.press("Tab")
                stop = page.evaluate(RING)
                if stop is None:
                    break
                assert stop["hasRing"], (path, stop)
            else:
                pytest.fail(f"no end to {path}")


def test_text_of_others_runs_nothing(chromium: Browser, store: Store) -> None:
    """Hostile names in every view: no dialog, no request to anywhere else, no complaint of the policy."""
    accept_hostile(store)
    elsewhere: list[str] = []
    with site(store) as url, page_of(chromium, url) as page:
        page.on("request", lambda request: None if request.url.startswith(url) else elsewhere.append(request.url))
        for path in ("/?range=24h", "/judge", "/runs", *(f"/runs/{row.outcome_id}" for row in all_runs(store)[:6])):
            page.goto(path)
            page.locator("details").evaluate_all("all => all.forEach((each) => (each.open = true))")
            _is_sound(page)
    assert [each for each in elsewhere if not each.startswith("data:")] == []


def test_logging_in_and_out_in_a_browser(chromium: Browser, store: Store) -> None:
    """The key is typed once; from the log-in back to what was asked for; after logging out it is asked for again."""
    outcome_id = _fill(store)
    _, secret = create_key(store, "ann", rights=[Right.READ, Right.CORRECT])
    with site(store) as url, page_of(chromium, url) as page:
        page.goto(f"/runs/{outcome_id}")
        _is_sound(page)
        page.get_by_label("Key").fill(secret)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/runs/{outcome_id}")
        assert page.evaluate("document.cookie") == ""
        page.get_by_label("success", exact=True).check()
        page.get_by_role("button", name="Record").click()
        assert page.get_by_text("Recorded.").is_visible()
        assert page.locator("table.revisions").get_by_text("ann").is_visible()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        page.goto("/runs")
        assert "/login" in page.url


def test_correcting_and_taking_back_in_a_browser_without_scripts(chromium: Browser, store: Store) -> None:
    """The forms fold out by themselves; a reason is asked for by the browser already."""
    outcome_id = _fill(store)
    with site(store) as url, page_of(chromium, url, scripts=False, width=800) as page:
        page.goto(f"/runs/{outcome_id}")
        page.get_by_label("Label").fill("resolved")
        page.get_by_role("button", name="Record").click()
        page.get_by_text("Take the outcome back").click()
        page.get_by_role("button", name="Retract").click()
        assert page.get_by_text("Recorded.").is_visible()
        page.locator("form[action$=retract]").get_by_label("Reason").fill("another ticket")
        page.get_by_role("button", name="Retract").click()
        assert page.get_by_text("the run is pending again").is_visible()
        assert page.get_by_text("another ticket").is_visible()
