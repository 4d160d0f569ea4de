"""Pages in Debian's Chromium, without a network: what they ask for, what they complain about, how they look."""

import shutil
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

DESKTOP, PHONE = (1280, 900), (390, 844)


class Opened:
    """A page in a browser, the complaints of its console, and the addresses it asked for beside its own."""

    def __init__(self, page, complaints, requests):
        self.page, self.complaints, self.requests = page, complaints, requests

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@contextmanager
def chromium():
    """A browser; closed at the end."""
    program = shutil.which("chromium")
    assert program, "no chromium on the PATH; install Debian's with `make chromium`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser, file, size=DESKTOP, folder=None, **options):
    """The page of a file; every request but for the file itself, or in the folder, is recorded and refused."""
    context = browser.new_context(
        viewport=dict(zip(("width", "height"), size, strict=True)), accept_downloads=True, **options
    )
    page, complaints, requests = context.new_page(), [], []
    page.set_default_timeout(10_000)  # milliseconds
    own = file.resolve().as_uri()
    inside = (f"{folder.resolve().as_uri()}/",) if folder else ()

    def answer(route):
        if route.request.url.partition("#")[0] == own or route.request.url.startswith(inside):
            route.continue_()
        else:
            requests.append(route.request.url)
            route.abort()

    context.route("**/*", answer)
    page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:100]}"))
    page.goto(own)
    page.wait_for_function("[...document.images].every(image => image.complete)")
    try:
        yield Opened(page, complaints, requests)
    finally:
        context.close()
