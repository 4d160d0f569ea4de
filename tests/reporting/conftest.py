"""One made-up study's page, for all tests of pages."""

import shutil

import pytest
from browser import chromium
from made_up_page import Made
from parsed_page import Parsed


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    made = Made(tmp_path_factory.mktemp("page")).results().shown()
    # what another study, or this one before, left: it must not be shown
    for stale in ("tables/digits/stale", "tables/stale"):
        for suffix in ("json", "csv"):
            shutil.copy(made.folder / f"tables/digits/seeds.{suffix}", made.folder / f"{stale}.{suffix}")
    shutil.copytree(made.folder / "figures/curves/digits", made.folder / "figures/curves/stale")
    made.html = made.page()
    made.parsed = Parsed(made.html)
    return made


@pytest.fixture
def copy(made, tmp_path):
    """The same results elsewhere, to be damaged."""
    shutil.copytree(made.place, tmp_path / "copy")
    copy = Made(tmp_path / "copy")
    copy.tables = [copy.place / stem.relative_to(made.place) for stem in made.tables]
    copy.figures = [copy.place / stem.relative_to(made.place) for stem in made.figures]
    copy.out.unlink()
    return copy


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser
