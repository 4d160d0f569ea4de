import re
from collections import Counter

import pytest
from browser import DESKTOP, PHONE, opened

from diffenc.reporting.tables.formatting import MINUS
from diffenc.study.stages import RUNS, TESTS

SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
BEFORE_AND_BEHIND = {"<": -1e-9, ">": 1e-9}


@pytest.fixture
def page(browser, made):
    with opened(browser, made.out) as shown:
        yield shown.page
        assert not shown.complaints
        assert not shown.requests


def test_a_page_with_faults_is_found_out(browser, tmp_path):
    file = tmp_path / "index.html"
    file.write_text(
        "<img src='https://example.org/a.png'><img src='b.png'><p style='width:5000px'>wide</p>"
        "<script>console.warn('careful'); missing()</script>"
    )
    with opened(browser, file) as shown:
        assert {"https://example.org/a.png", (tmp_path / "b.png").as_uri()} <= set(shown.requests)
        assert any("careful" in text for text in shown.complaints)
        assert any("missing is not defined" in text for text in shown.complaints)
        assert shown.overflow() > 3000


@SIZES
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_quiet_asks_for_nothing_and_fits(browser, made, size, scheme):
    with opened(browser, made.out, size, color_scheme=scheme) as shown:
        shown.page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        assert shown.overflow() <= 0
        assert shown.page.evaluate("[...document.images].slice(0, -1).every(image => image.naturalWidth > 0)")
        assert shown.page.title() == made.study.title
        assert shown.complaints == []
        assert shown.requests == []


@pytest.mark.parametrize("size", [(1440, 900), DESKTOP, PHONE], ids=str)
def test_the_first_screen_has_question_answer_picture_and_size(browser, made, size):
    with opened(browser, made.out, size) as shown:
        for part in (".question", ".verdict", ".size", ".seeds"):
            box = shown.page.locator(f"header {part}").bounding_box()
            assert box["y"] >= 0, part
            assert box["y"] + box["height"] <= size[1], part
        places = [
            shown.page.locator(f"header {part}").bounding_box()["y"] for part in (".verdict", ".size", ".seeds")
        ]
        assert places == sorted(places)
        row = shown.page.locator("header .strips tbody tr").first
        assert row.locator(".dot").count() == 3
        strip = row.locator(".strip").bounding_box()["width"]
        assert strip >= 180, "as wide as a phone has room"


def test_wide_tables_scroll_within_their_box(browser, made):
    with opened(browser, made.out, PHONE) as shown:
        boxes = shown.page.locator(".scroll").evaluate_all(
            "boxes => boxes.map(b => [b.scrollWidth > b.clientWidth, getComputedStyle(b).overflowX, b.tabIndex])"
        )
        assert [True, "auto", 0] in boxes
        assert all(inside == "auto" and index == 0 for _, inside, index in boxes)


def test_the_column_that_names_a_row_stays_while_the_others_scroll(browser, made):
    with opened(browser, made.out, PHONE) as shown:
        wide = 0
        for box in shown.page.locator(".scroll").all():
            moved = box.evaluate("box => (box.scrollLeft = box.scrollWidth, box.scrollLeft)")
            if moved < 60:
                continue
            wide += 1
            left, names = box.bounding_box()["x"], box.locator("tbody .stays").first
            assert names.bounding_box()["x"] == pytest.approx(left, abs=1)
            assert box.locator("thead .stays").bounding_box()["x"] == pytest.approx(left, abs=1)
            assert names.bounding_box()["width"] < 0.5 * box.bounding_box()["width"], "room for what scrolls"
            assert box.locator("tbody td").first.bounding_box()["x"] <= left
        assert wide > 2
        model = shown.page.locator("#table-digits-seeds th.stays")
        assert model.inner_text() == "model"


def test_notes_are_folded_under_their_table(page):
    notes = page.locator("#table-literature details")
    words = notes.get_by_text("A second note.")
    assert not words.is_visible()
    notes.get_by_text("How to read this").click()
    assert words.is_visible()


# ---- sorting


def column(table, j):
    return table.locator(f"tbody tr td:nth-child({j + 1})").all_inner_texts()


def value(text):
    """What a cell sorts by, read independently of the package: a number, or None."""
    found = re.match(r"([<>] )?([-+]?(?:[\d,]+\d|\d)(?:\.\d+)?)(?![\w-])", text.replace(MINUS, "-"))
    return float(found[2].replace(",", "")) + BEFORE_AND_BEHIND.get((found[1] or "")[:1], 0) if found else None


def words_and_numbers(text):
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text.lower())]


def in_order(rows, j, descending):
    """Python's stable sort of the rows by column j; what has no value comes last, in the order it had."""
    numbers = [value(row[j]) for row in rows]
    keys = numbers if any(n is not None for n in numbers) else [words_and_numbers(row[j]) for row in rows]
    pairs = list(zip(keys, rows, strict=True))
    ordered = sorted((pair for pair in pairs if pair[0] is not None), key=lambda pair: pair[0], reverse=descending)
    return [row for _, row in ordered] + [row for key, row in pairs if key is None]


def texts(table):
    """All rows' whole text, the repeated names too."""
    return table.locator("tbody tr").evaluate_all("rows => rows.map(row => [...row.cells].map(c => c.textContent))")


def test_every_column_of_every_table_sorts(page, made):
    tables = page.locator("table.sortable").all()
    assert len(tables) == len(made.tables)
    moved = 0
    for table in tables:
        rows = texts(table)
        for j, head in enumerate(table.locator("th").all()):
            button = head.get_by_role("button")
            for direction in ("ascending", "descending"):
                button.click()
                assert head.get_attribute("aria-sort") == direction
                assert texts(table) == in_order(rows, j, direction == "descending"), (rows[0][j], direction)
                moved += texts(table) != rows
            button.click()
            assert head.get_attribute("aria-sort") == "none"
            assert texts(table) == rows, "the third click gives the study's order back"
    assert moved > 20


def test_bounds_signs_and_missing_values_sort_as_they_should(page):
    table = page.locator("#table-literature table")
    table.get_by_role("button", name="p", exact=True).click()
    assert column(table, 3) == ["< 0.001", "0.001", "0.030", "0.500", "> 0.999", "exact"]
    table.get_by_role("button", name="bpd").click()
    numbers = [f"{MINUS}0.500", "2.600", "2.600", "2.640", "12.500"]
    assert column(table, 2) == [f"{number} ± 0.001" for number in numbers] + ["not published"]
    assert [th.get_attribute("aria-sort") for th in table.locator("th").all()].count("none") == 4
    table.get_by_role("button", name="model").click()
    assert column(table, 1) == ["A <b>", "a|b & c", "VDM-8", "VDM-8-2", "VDM-32", "VDM-32"]


def test_sorting_by_the_keyboard_shows_the_names_that_were_left_out(page):
    table = page.locator("#table-digits-seeds table")
    models = [text for text in column(table, 1) if text]
    assert Counter(models) == {"VDMv-2": 2, "DiffEnc-2-1": 2, "DiffEnc-2-nt": 1}
    total = table.get_by_role("button", name="total", exact=True)
    total.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert table.locator("th[aria-sort=descending]").inner_text() == "total"
    assert Counter(column(table, 1))["VDMv-2"] == (3 + 2) + (2 + 2)
    numbers = [float(text) for text in column(table, 4)]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 3 * 5 + 2 * 4


# ---- figures


@SIZES
def test_a_figure_enlarges_and_esc_closes_it(browser, made, size):
    with opened(browser, made.out, size) as shown:
        page = shown.page
        dialog, button = page.get_by_role("dialog"), page.locator(".enlarge:visible").first
        small = button.locator("img")
        for by_key in (False, True):
            assert dialog.count() == 0
            if by_key:
                button.focus()
                page.keyboard.press("Enter")
            else:
                button.click()
            large = dialog.locator("img")
            assert large.is_visible()
            assert large.get_attribute("src") == small.get_attribute("src")
            assert large.get_attribute("alt") == small.get_attribute("alt")
            assert large.bounding_box()["width"] > small.bounding_box()["width"]
            assert page.get_by_role("button", name="Close").is_visible()
            assert shown.overflow() <= 0
            page.keyboard.press("Escape")
            assert not dialog.is_visible()
            assert button.evaluate("button => button === document.activeElement"), "one goes on where one was"
        button.click()
        with page.expect_download() as download:
            dialog.get_by_role("link", name="Save").click()
        kind, of = made.figures[-1].parts[-3], download.value.suggested_filename
        assert of.startswith("small-")
        stems = {"-".join(stem.relative_to(made.folder / "figures").parts): stem for stem in made.figures}
        stem = stems[of.removeprefix("small-").rpartition(".")[0]]
        assert download.value.path().read_bytes() == stem.with_name(f"{stem.name}.{of[-3:]}").read_bytes(), kind
        page.get_by_role("button", name="Close").click()
        assert not dialog.is_visible()
        assert shown.complaints == []


def test_of_many_figures_of_a_kind_one_is_chosen(page):
    kind = page.locator("#figure-curves")
    assert kind.locator("figure:visible figcaption").all_inner_texts() == ["Digits, fixed schedule"]
    kind.get_by_label("Show").select_option(label="MNIST, fixed schedule")
    assert kind.locator("figure:visible figcaption").all_inner_texts() == ["MNIST, fixed schedule"]
    assert (
        kind.locator("figure:visible img")
        .get_attribute("alt")
        .startswith("How training went: MNIST, fixed schedule.")
    )


def test_on_paper_all_figures_and_whole_tables_are_there(page, made):
    page.emulate_media(media="print")
    assert page.locator(".kind figure:visible").count() == len(made.figures)
    assert page.locator(".scroll").evaluate_all(
        "boxes => boxes.every(box => box.scrollHeight <= box.clientHeight + 1)"
    )
    assert not page.locator("nav").is_visible()
    assert page.locator("details:not([open])").count() > 5
    folded = "details:not([open]) > :not(summary)"
    assert page.locator(f"{folded}:visible").count() == page.locator(folded).count() > 0


def test_on_paper_nothing_is_cut(page):
    """What is wider than the sheet would shrink all pages, or be cut."""
    page.set_viewport_size({"width": int((210 - 28) / 25.4 * 96), "height": 1000})  # A4 less its margins
    page.emulate_media(media="print")
    page.locator("pre").last.evaluate("one => one.textContent = 'a long line '.repeat(20)")
    page.locator(".sortable td").evaluate_all("all => all.forEach(one => one.append(' and more of it'))")
    right = "all => Math.max(...all.map(one => one.getBoundingClientRect().right))"
    assert page.locator("body, table, pre, figure, img, p").evaluate_all(right) <= page.viewport_size["width"] + 1
    assert page.locator("pre").evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth)")
    tall = page.locator(".kind img").evaluate_all("all => Math.max(...all.map(one => one.offsetHeight))")
    reserved = page.locator(".kind h3").first.evaluate("one => parseFloat(getComputedStyle(one, '::after').height)")
    assert tall < reserved < 1000 / 2, "a heading keeps the place of its first picture; two fit on a sheet"


# ---- downloads, and without a script


def test_every_csv_that_is_saved_is_the_file(page, made):
    files = {
        "-".join(stem.relative_to(made.folder / "tables").parts) + ".csv": stem.with_name(f"{stem.name}.csv")
        for stem in made.tables
    }
    files |= {name: made.folder / name for name in (RUNS, TESTS)}
    links = page.locator("a[data-csv]").all()
    assert len(links) == len(files)
    for link in links:
        with page.expect_download() as download:
            link.click()
        name = download.value.suggested_filename.removeprefix("small-")
        assert download.value.path().read_bytes() == files.pop(name).read_bytes()
    assert not files


def test_without_a_script_everything_is_there_to_read(browser, made):
    with opened(browser, made.out, java_script_enabled=False) as shown:
        assert shown.page.locator(".kind figure:visible").count() == len(made.figures)
        assert shown.page.locator("table.sortable:visible").count() == len(made.tables)
        assert not shown.page.locator(".choice").first.is_visible()
        assert shown.complaints == []
