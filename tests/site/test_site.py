"""The built site, in a browser: every page loads by itself, shows its equations and figures, and fits its screen."""

import functools
import http.server
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from authoring.book import ROOT, pages

SITE = ROOT / "_build" / "html"
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "/usr/bin/chromium"]
BROWSERS += ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"]
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", *QUIET]
# What the theme says on a first visit, before a reader has chosen between light and dark.
HARMLESS = "Got invalid theme mode"
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1400, "height": 900}

# What is wrong with a page as it is shown: mathematics, figures, what sticks out of the screen.
FAULTS = """theme => {
    document.documentElement.dataset.theme = theme;
    const found = [], view = document.documentElement, all = selector => [...document.querySelectorAll(selector)];
    const formulas = all(".bd-article .math"), typeset = all(".bd-article .math mjx-container");
    if (formulas.length !== typeset.length)
        found.push(`${formulas.length} formulas, of which ${typeset.length} are typeset`);
    for (const error of all("mjx-merror, [data-mjx-error]"))
        found.push(`MathJax: ${error.dataset.mjxError ?? error.textContent}`);
    for (const formula of typeset)
        if (formula.getBoundingClientRect().left < formula.parentElement.getBoundingClientRect().left - 1)
            found.push(`the left end of a formula cannot be seen: ${formula.textContent.slice(0, 40)}`);
    for (const image of all("img")) {
        if (!image.complete || image.naturalWidth === 0) found.push(`an image does not load: ${image.src}`);
        const style = getComputedStyle(image), turned = style.filter.includes("invert");
        if (image.matches(".cell_output img:not(.photo)") && turned !== (theme === "dark"))
            found.push(`a figure is ${turned ? "" : "not "}turned over in the ${theme} theme: ${image.src}`);
    }
    if (view.scrollWidth > view.clientWidth) {
        const wide = all("body *").filter(e => e.getBoundingClientRect().right > view.clientWidth + 1).slice(0, 3);
        found.push(`it is ${view.scrollWidth} pixels wide on a screen of ${view.clientWidth}: `
            + wide.map(e => `${e.tagName} ${e.className}`).join(", "));
    }
    return found;
}"""


@pytest.fixture(scope="module")  # Playwright keeps an event loop in this thread, and other files start theirs
def browser() -> Iterator[Browser]:
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    if not found:
        unavailable("no browser: install Chromium, for example by apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found[0], args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """One for all pages, as of a reader who goes from one to the next: what they share is loaded once.

    A tab of its own for each would take twice the time.
    """
    profile = browser.new_context(viewport=DESKTOP, color_scheme="light")
    profile.set_default_timeout(10_000)
    yield profile.new_page()
    profile.close()


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """Serve the site, if it is there and not older than its sources; return its address."""
    stale = [name for name, (source, _) in pages().items() if not is_newer(SITE / f"{name}.html", source)]
    if stale:
        unavailable(f"the site has no page, or an old one, for {stale[0]} and {len(stale) - 1} others: run make book")
    with serve(SITE) as address:
        yield address


def is_newer(page: Path, source: Path) -> bool:
    return page.is_file() and page.stat().st_mtime >= source.stat().st_mtime


def unavailable(reason: str) -> None:
    """Skip; where everything must be tested, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class serve:
    """Serve a folder on this machine, silently."""

    def __init__(self, folder: Path):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

        handler = functools.partial(Handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def visit(tab: Page, base: str, path: str) -> list[str]:
    """Open a page in a tab; return what is wrong with it, in both themes, on a desktop and on a phone."""
    found: list[str] = []

    def request(made) -> None:
        if not made.url.startswith((base, "data:", "blob:")):
            found.append(f"it asks elsewhere for {made.url}")

    def response(came) -> None:
        if came.status >= 400:
            found.append(f"{came.status} for {came.url}")

    def console(message) -> None:
        if message.type == "error" and HARMLESS not in message.text:
            found.append(f"console: {message.text}")

    events: dict[str, Callable] = {
        "request": request,
        "response": response,
        "console": console,
        "requestfailed": lambda failed: found.append(f"no answer for {failed.url}"),
        "pageerror": lambda error: found.append(f"script error: {error}"),
    }
    tab.goto("about:blank")  # what the page before still asks for is not this one's
    for event, listener in events.items():
        tab.on(event, listener)  # type: ignore[call-overload]
    tab.goto(base + path, wait_until="load")
    tab.evaluate("window.MathJax?.startup?.promise")
    tab.evaluate("document.fonts.ready.then(() => null)")
    for size in (PHONE, DESKTOP):  # which is slow to change; and the desktop has the sidebar, for what comes after
        tab.set_viewport_size(size)
        for theme in ("light", "dark"):
            found += [f"{problem} ({theme}, {size['width']} pixels)" for problem in tab.evaluate(FAULTS, theme)]
    for event, listener in events.items():
        tab.remove_listener(event, listener)
    return found


@pytest.mark.parametrize("name", pages())
def test_page(name: str, site: str, tab: Page) -> None:
    found = visit(tab, site, f"{name}.html")
    assert not found, "\n".join(found)
    source, number = pages()[name][0].read_text(encoding="utf-8"), pages()[name][1]
    if source.count("$$") > 1:
        assert tab.locator(".bd-article mjx-container").count() > 0, "no formula found on a page that has some"
    if '"image/png"' in source:
        assert tab.locator(".bd-article .cell_output img").count() > 0, "no figure found on a page that has some"
    # A chapter is numbered, in its title and in the sidebar; headings inside it are not.
    assert tab.locator(".bd-article h1").count() == 1
    title = (tab.locator(".bd-article h1").text_content() or "").removesuffix("#")
    assert title.startswith(f"{number}. " if number else "")
    inside = tab.locator(".bd-article :is(h2, h3, h4), .bd-sidebar-secondary .toc-entry a").all_inner_texts()
    assert not [text for text in inside if re.match(r"\d+\.\d", text)]
    assert tab.locator(".bd-links a[href='#']").inner_text() == title


def test_entrance(site: str, tab: Page) -> None:
    """The address of the site leads to its first page, on GitHub Pages, too."""
    tab.goto(site)
    tab.wait_for_url("**/book/intro.html")
    assert (SITE / ".nojekyll").is_file()


def test_search(site: str, tab: Page) -> None:
    found = visit(tab, site, "search.html?q=gradient")
    tab.wait_for_selector("#search-results li a")
    assert not found, "\n".join(found)


def test_from_disk(site: str, tab: Page) -> None:
    """Pages opened as files, without any server, show their equations."""
    name = next(name for name, (source, _) in pages().items() if "\\\\tag{" in source.read_text(encoding="utf-8"))
    found = visit(tab, f"{SITE.as_uri()}/", f"{name}.html")
    assert not found, "\n".join(found)


PLANTED = {
    "it asks elsewhere for https://example.invalid/far.png": "<img src='https://example.invalid/far.png'>",
    "an image does not load": "<img src='missing.png'>",
    "404 for": "<script src='missing.js'></script>",
    "script error: nowhere": "<script>nowhere()</script>",
    "console: broken": "<script>console.error('broken')</script>",
    "1 formulas, of which 0 are typeset": "<span class='math'>$x$</span>",
    "MathJax: Undefined": "<mjx-merror data-mjx-error='Undefined control sequence'></mjx-merror>",
    "the left end of a formula cannot be seen": "<div class='math' style='padding: 0 50px'>"
    "<mjx-container style='display: block; margin-left: -90px'>x</mjx-container></div>",
    "it is 600 pixels wide on a screen of 390: P ": "<p style='width: 600px'>wide</p>",
    "a figure is not turned over in the dark theme": "<div class='cell_output'><img src='data:image/svg+xml,"
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>\'></div>',
}


@pytest.mark.parametrize("message", PLANTED)
def test_planted_fault(message: str, tab: Page, tmp_path: Path) -> None:
    page = "<!doctype html><link rel=icon href='data:,'><body style='margin: 0'><main class='bd-article'>{}</main>"
    (tmp_path / "right.html").write_text(page.format("<p>Right.</p>"))
    (tmp_path / "wrong.html").write_text(page.format(PLANTED[message]))
    with serve(tmp_path) as address:
        assert visit(tab, address, "right.html") == []
        assert message in "\n".join(visit(tab, address, "wrong.html"))
