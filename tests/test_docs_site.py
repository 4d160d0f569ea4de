"""`make docs`: the pages as one site, read without a network."""

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import browser
import pipeline
import pytest


class Links(HTMLParser):
    """What a page points to, as (tag, address), and what in it can be pointed to."""

    def __init__(self, page):
        super().__init__()
        self.targets, self.ids = [], set()
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        self.targets += [(tag, attrs[key]) for key in ("href", "src") if attrs.get(key)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning fails the build."""
    out = tmp_path_factory.mktemp("docs") / "site"
    command = ["make", "--old-file", "env", "docs", f"SITE={out}"]
    ended = subprocess.run(command, cwd=pipeline.ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return out


def pages(site):
    return [page for page in sorted(site.rglob("*.html")) if page.parent != site / "demo"]


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    found = {page.resolve(): Links(page) for page in pages(site)}
    for page, links in found.items():
        for tag, address in links.targets:
            url = urlsplit(address)
            if url.scheme:
                assert tag == "a" or url.scheme == "data", f"{page}: loads {address}"
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            assert target.is_file(), f"{page}: {address}"
            assert not url.fragment or target not in found or unquote(url.fragment) in found[target].ids, (
                f"{page}: {address}"
            )


def test_it_has_every_page_of_docs_and_every_model(site):
    for page in sorted((pipeline.ROOT / "docs").glob("*.md")):
        assert (site / "docs" / f"{page.stem}.html").is_file(), page
    reference = Links(site / "docs/site/api/models.html").ids
    for module in (pipeline.ROOT / "diffenc/models").glob("[a-z]*.py"):
        assert f"module-diffenc.models.{module.stem}" in reference, f"{module}: not in docs/site/api/models.rst"


def test_no_page_complains_asks_elsewhere_or_is_wider_than_the_window(site):
    with browser.chromium() as chromium, browser.opened(chromium, site / "README.html", folder=site) as shown:
        for page in pages(site):
            if page != site / "index.html" and "_modules" not in page.parts:  # which leads to another at once
                shown.page.goto(page.as_uri())
                assert (shown.complaints, shown.requests) == ([], []), page
                for width, height in ((1440, 900), browser.PHONE):
                    shown.page.set_viewport_size({"width": width, "height": height})
                    text = shown.page.evaluate(
                        "(box => box.scrollWidth - box.clientWidth)(document.querySelector('.content'))"
                    )
                    assert (shown.overflow(), text) == (0, 0), f"{page}: {width}"


def test_the_search_finds_a_word(site):
    """Opened as a file; the start page leads to the README's."""
    with browser.chromium() as chromium, browser.opened(chromium, site / "index.html", folder=site) as shown:
        shown.page.wait_for_url("**/README.html")
        shown.page.get_by_placeholder("Search").fill("counterterm")
        shown.page.keyboard.press("Enter")
        # results come one by one, and the later ones late on a busy machine
        results = shown.page.locator("#search-results li a")
        results.get_by_text("The models, in one page", exact=True).wait_for()
        assert (shown.complaints, shown.requests) == ([], [])


def test_on_paper_there_is_the_text_alone(site):
    with browser.chromium() as chromium, browser.opened(chromium, site / "docs/MATH.html", folder=site) as shown:
        seen = [".sidebar-drawer", ".toc-drawer", "footer", ".headerlink", ".table-wrapper"]
        before = [shown.page.locator(name).first.is_visible() for name in seen]
        shown.page.emulate_media(media="print")
        after = [shown.page.locator(name).first.is_visible() for name in seen]
        assert before[:3] == [True] * 3
        assert after == [False] * 4 + [True]
        shown.page.set_viewport_size({"width": 673, "height": 990})  # A4 less its margins
        boxes = "[...document.querySelectorAll('.content, .table-wrapper, pre')]"
        cut = shown.page.evaluate(
            f"{boxes}.filter(box => getComputedStyle(box).overflowX != 'visible' && "
            "box.scrollWidth > box.clientWidth || box.scrollWidth > 673).map(box => box.className)"
        )
        assert cut == [], "what scrolls on a screen is cut on paper"


@pytest.mark.parametrize("there", [True, False])
def test_the_demo_page_is_in_it_or_said_to_be_left_out(tmp_path, there):
    shutil.copytree(pipeline.ROOT / "docs/site", tmp_path / "docs/site")
    if there:
        (tmp_path / "results/demo").mkdir(parents=True)
        (tmp_path / "results/demo/index.html").write_text("the demo")
    only = ["-D", "root_doc=docs/site/demo", "-D", "include_patterns=docs/site/demo.rst"]
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-c", "docs/site", *only, ".", "site"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    page = tmp_path / "site/docs/site/demo.html"
    assert ("It is left out" in page.read_text()) != there
    linked = [address for tag, address in Links(page).targets if address.endswith("demo/index.html")]
    assert [(page.parent / address).resolve().read_text() for address in linked] == ["the demo"] * there
