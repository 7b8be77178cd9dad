"""A real browser on the real app: Streamlit as a user starts it, Chromium driven by Playwright."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import ROOT, environment
from tests.support.servers import free_port, running

SHOTS = ROOT / "build" / "screenshots"  # kept as CI output
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Streamlit first asks for its health below the page's own path, and expects the 404.
_EXPECTED = ("_stcore/health", "_stcore/host-config")

_IDLE = """() => new Promise((resolve, reject) => {
    const began = performance.now();
    let calm = began;
    const watch = new MutationObserver(() => { calm = performance.now(); });
    watch.observe(document.body, {subtree: true, childList: true, characterData: true});
    const check = setInterval(() => {
        const now = performance.now();
        const state = document.querySelector('[data-testid=stApp]')?.dataset.testScriptState;
        const stale = document.querySelector('[data-stale=true]');
        if (state !== 'notRunning' || stale) calm = now;
        if (now - calm < 300 && now - began < 120000) return;
        clearInterval(check);
        watch.disconnect();
        now - calm < 300 ? reject(new Error(`never idle: ${state}`)) : resolve();
    }, 50);
})"""


@contextlib.contextmanager
def app(store: Path, **more: str) -> Iterator[str]:
    """Start the app on the runs of `store`, from that folder, and yield its address.

    `more`: further environment variables.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    script = str(ROOT / "frontend" / "app.py")
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)]
    settings = {**environment(store), **more}
    with running(command, f"{address}/_stcore/health", store, env=settings):
        yield address


@contextlib.contextmanager
def chromium() -> Iterator[object]:
    """Yield Playwright's browser; without a Chromium the test is skipped, on CI it fails."""
    from playwright.sync_api import sync_playwright

    path = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on CI: make browser")
        pytest.skip("no Chromium: make browser")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=_QUIET)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One page of a browser, with its faults: console errors and requests to other hosts."""

    def __init__(self, browser: object, address: str, **context: object):
        self.address, self.faults = address, []
        self.context = browser.new_context(
            viewport=context.pop("viewport", {"width": 1400, "height": 1000}), **context
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", self._on_request)

    def open(self, path: str = "") -> None:
        """Go to a page and wait until it is drawn."""
        self.page.goto(f"{self.address}/{path}")
        self.page.wait_for_selector("h1")
        self.settle()

    def settle(self) -> None:
        """Wait until Streamlit has been idle, and the page unchanged, for a moment."""
        self.page.evaluate(_IDLE)

    def shot(self, name: str) -> Path:
        """Save a picture of the whole page and return its path."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        return path

    def choose(self, label: str, option: str) -> None:
        """Pick an option of a selectbox by the keyboard."""
        self.page.get_by_role("combobox", name=label).click()
        self.page.keyboard.type(option)
        self.page.keyboard.press("Enter")
        self.settle()

    def _on_console(self, message: object) -> None:
        where = message.location.get("url", "") if message.location else ""
        if message.type == "error" and not where.endswith(_EXPECTED):
            self.faults.append(f"console: {message.text} {where}")

    def _on_request(self, request: object) -> None:
        if not request.url.startswith((self.address, "data:", "blob:", "about:")):
            self.faults.append(f"outside: {request.url}")
