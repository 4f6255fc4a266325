"""Pages in headless Chromium, as people see them: what a test asks of one is said here once."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)


@dataclass
class Heard:
    """What a page said and asked for while it was open."""

    errors: list[str] = field(default_factory=list)  # of its console, and what it threw
    requests: list[str] = field(default_factory=list)  # URLs

    @property
    def elsewhere(self) -> list[str]:
        """Requests that leave this machine."""
        here = ("http://127.0.0.1:", "http://localhost:", "file://", "data:", "blob:")
        return [url for url in self.requests if not url.startswith(here)]


@contextmanager
def browser_page(width: int = 1280, height: int = 800, dark: bool = False) -> Iterator[Any]:
    """A Playwright page; `page.heard` is what it says and asks for.

    The test is skipped where there is no Chromium.
    """
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("no Chromium on PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
            )
            page.heard = listen(page)
            yield page
        finally:
            browser.close()


def listen(page: Any) -> Heard:
    """Note from now on what a page says and asks for."""
    heard = Heard()

    def said(message: Any) -> None:
        if message.type == "error":
            heard.errors.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: heard.errors.append(str(error)))
    page.on("request", lambda request: heard.requests.append(request.url))
    return heard
