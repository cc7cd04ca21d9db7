"""A real Chromium without a window, steered by playwright, for tests of pages.

Needs a Chromium on the PATH (Debian: `apt-get install chromium`). MUWNET_SCREENSHOTS=DIR keeps
pictures of what tests saw.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needed = pytest.mark.skipif(CHROMIUM is None, reason=f"needs one of {', '.join(NAMES)}")

SIZES = {
    "desktop": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "phone": {
        "viewport": {"width": 360, "height": 740},
        "color_scheme": "dark",
        "is_mobile": True,
        "has_touch": True,
    },
}


@contextlib.contextmanager
def open_page(
    url: str, *arguments: str, size: str = "desktop", permissions: Sequence[str] = ()
) -> Iterator:
    """Gives playwright's page; at its end nothing may have failed in it, or been asked for of
    anybody else.
    """
    playwright_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    # Root, as which containers run, has no sandbox.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*sandbox, *arguments])
        context = browser.new_context(**SIZES[size], permissions=list(permissions))
        page = context.new_page()
        asked, problems = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        page.goto(url)
        yield page
        browser.close()
    assert not problems
    folder = url.rpartition("/")[0]
    assert {at.rpartition("/")[0] for at in asked if not at.startswith("data:")} == {folder}


def check_width(page) -> None:
    """Checks that nothing reaches over the side of the window."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def keep(page, name: str) -> None:
    """Keeps a picture of the page where MUWNET_SCREENSHOTS names a folder."""
    folder = os.environ.get("MUWNET_SCREENSHOTS")
    if folder:
        page.screenshot(path=pathlib.Path(folder, f"{name}.png"), full_page=True)
