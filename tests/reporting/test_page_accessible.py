"""What axe-core finds in the page: nothing."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import DESKTOP, PHONE, opened


def found(page, part="html"):
    """The rules that a part of the page breaks, each with its first element."""
    # what colour is behind a text it cannot tell where shadows are drawn, as they are around what scrolls
    page.add_style_tag(content=".scroll { background: none !important }")
    response = Axe().run(page, part).response
    assert response["passes"], "it has looked"
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in response["violations"]]


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_axe_finds_nothing(browser, made, size, scheme):
    with opened(browser, made.out, size, color_scheme=scheme) as shown:
        shown.page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        assert found(shown.page) == []
        shown.page.locator(".enlarge:visible").first.click()
        assert found(shown.page, "dialog") == []


def test_axe_finds_what_is_amiss(browser, made):
    with opened(browser, made.out) as shown:
        shown.page.evaluate("document.querySelector('.enlarge img').removeAttribute('alt')")
        shown.page.add_style_tag(content=".caption { color: #ccc !important }")
        assert {rule for rule, _ in found(shown.page, ".kind")} == {"image-alt", "color-contrast"}
