"""Headless Chromium for tests: found on the machine, never downloaded; every request and console line is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from support.needs import needs

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip


@dataclass
class Watched:
    """A page, and what it did: console errors, uncaught exceptions, hosts it asked, dialogs it opened."""

    page: Any
    faults: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def check(self, host: str) -> None:
        """No console error, and nobody was asked but ``host``."""
        assert self.faults == []
        assert self.hosts <= {host}


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, which the test needs."""
    playwright, binary = needs("playwright.sync_api"), needs("chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=binary, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def watched(browser: Any, **options: Any) -> Iterator[Watched]:
    """A fresh page of a fresh profile, such as ``locale="zh-CN"`` or ``viewport=...``."""
    context = browser.new_context(**{"locale": "en", "viewport": {"width": 1280, "height": 900}} | options)
    page = context.new_page()
    page.set_default_timeout(60_000)
    found = Watched(page)
    page.on("console", lambda m: found.faults.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.faults.append(f"uncaught: {error}"))
    page.on("dialog", lambda shown: (found.faults.append(f"dialog: {shown.message}"), shown.dismiss()))
    page.on("request", lambda request: found.hosts.add(urlsplit(request.url).netloc))
    yield found
    context.close()


def axe_faults(page: Any) -> list[str]:
    """Serious and critical faults that axe-core, which the test needs, finds on a page with ``bypass_csp=True``."""
    page.evaluate(needs("axe").read_text(encoding="utf-8"))
    rules = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }"
    found = page.evaluate(f"axe.run(document, {rules}).then((result) => result.violations)")
    return [
        f"{fault['id']}: {fault['help']}: {fault['nodes'][0]['html'][:160]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]
