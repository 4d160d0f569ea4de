"""The page as a document: its tables and downloads, and what is missing or damaged."""

import base64
import json
import re
import shutil
from itertools import pairwise

import made_up
import pytest
from made_up_page import SOURCE
from parsed_page import Parsed, cells

from diffenc.io.errors import UserError
from diffenc.reporting.html import tables
from diffenc.reporting.tables.formatting import MINUS
from diffenc.study.stages import RUNS, TESTS

# ---- tables and downloads


def test_every_table_has_the_cells_of_its_markdown(made):
    for stem in made.tables:
        lines = [line for line in stem.with_name(f"{stem.name}.md").read_text().splitlines() if line.startswith("|")]
        heads, _, *rows = [
            [cell.strip().strip("*").replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in lines
        ]
        name = "-".join(stem.relative_to(made.folder / "tables").parts)
        found = cells(made.html, name)
        if stem.parent.name in made.study.datasets:  # the heading says the data set
            heads, rows = heads[1:], [row[1:] for row in rows]
        assert list(found) == heads
        for j, head in enumerate(heads):
            expected = [row[j] for row in rows]
            if j < 3:
                above = ""
                expected = [above := text or above for text in expected]
            assert found[head] == expected, (name, head)


def test_tables_stand_by_data_set_and_nothing_else_does(made, copy):
    anchors = [attrs["id"] for attrs, _ in made.parsed.all("section", kind="table")]
    assert anchors == [
        *("table-literature", "table-digits-seeds", "table-digits-comparisons"),
        *("table-mnist-seeds", "table-mnist-comparisons"),
    ]
    assert "stale" not in made.html
    copy.tables.reverse()
    again = [attrs["id"] for attrs, _ in Parsed(copy.page()).all("section", kind="table")]
    assert again == [anchors[0], anchors[2], anchors[1], anchors[4], anchors[3]]


def test_csv_files_are_inlined_byte_for_byte(made):
    links = made.parsed.all("a")
    found = {attrs["data-csv"]: attrs["href"] for attrs, _ in links if "data-csv" in attrs}
    files = {
        "-".join(stem.relative_to(made.folder / "tables").parts) + ".csv": stem.with_name(f"{stem.name}.csv")
        for stem in made.tables
    }
    files |= {name: made.folder / name for name in (RUNS, TESTS)}
    assert set(found) == set(files)
    for name, uri in found.items():
        kind, content = uri.split(";base64,")
        assert kind == "data:text/csv;charset=utf-8"
        assert base64.b64decode(content) == files[name].read_bytes()


@pytest.mark.parametrize(
    ("texts", "order"),
    [
        (["0.030", "< 0.001", "> 0.999", "0.001", "exact", "0.5"], ["< 0.001", "0.001", "0.030", "0.5", "> 0.999"]),
        (["10.5 ± 0.1", "9.7 ± 2", f"{MINUS}3 [{MINUS}4, 1]"], [f"{MINUS}3 [{MINUS}4, 1]", "9.7 ± 2", "10.5 ± 0.1"]),
        (["1,281,167", "99,999", "20", "", "n/a"], ["20", "99,999", "1,281,167"]),
        (["2.1e-05", "1e3", "0.5", "∞", f"{MINUS}∞"], [f"{MINUS}∞", "2.1e-05", "0.5", "1e3", "∞"]),
        (["3, 3", "10, 3", "not published"], ["3, 3", "10, 3"]),
        (["[0.1, 0.2]", f"[{MINUS}0.1, 3]", "n/a (least 0.050)"], [f"[{MINUS}0.1, 3]", "[0.1, 0.2]"]),
        (["DiffEnc-32-4", "VDMv-8", "DiffEnc-8-2", ""], ["DiffEnc-8-2", "DiffEnc-32-4", "VDMv-8"]),
        (["10K", "50K", "8x8"], ["8x8", "10K", "50K"]),
    ],
)  # fmt: skip
def test_cells_are_ranked_by_value(texts, order):
    ranks = tables.ranks(texts)
    placed = sorted((rank, text) for rank, text in zip(ranks, texts, strict=True) if rank is not None)
    assert [text for _, text in placed] == order
    assert len({rank for rank, _ in placed}) == len(order)


def test_equal_values_share_a_rank():
    assert tables.ranks(["2.0 (VDM)", "1", "2.00", "n/a"]) == [1, 0, 1, None]


# ---- the page as a document


def test_nothing_is_taken_from_elsewhere(made):
    links = [
        attrs.get(key, "") for _, attrs, _ in made.parsed.elements for key in ("src", "href", "srcset", "action")
    ]
    assert {link.partition(":")[0] if not link.startswith("#") else "#" for link in links if link} == {"data", "#"}
    assert "url(" not in made.html
    assert "@import" not in made.html
    assert str(made.place) not in made.html


def test_what_the_study_says_is_escaped(made):
    assert made.parsed.text("h1") == ["Two data sets & <three> models"]
    assert len(made.parsed.all("script")) == 1
    assert "A note with <script>alert(1)</script> & a sign." in made.parsed.text("section", id="tables")[0]
    assert any(text == " ".join(SOURCE.split()) for text in made.parsed.text("pre"))
    assert SOURCE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;") in made.html


def runs_of(made, model):
    return [run for run in made.study.all_runs if run[:3] == ("digits", model, "fixed")]


def test_a_figure_of_an_earlier_version_has_its_caption_for_words(copy):
    for path in copy.folder.glob("figures/heatmaps/**/*.svg"):
        path.write_text(re.sub("<dc:description>.*?</dc:description>", "", path.read_text(), flags=re.DOTALL))
    shown = [attrs["alt"] for attrs, _ in Parsed(copy.page()).all("img")]
    assert "fixed schedule, seed 2. How the encoding changes" in " ".join(shown)


def test_it_can_be_read_by_everyone(made):
    page = made.parsed
    assert page.all("html")[0][0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    shown = [attrs["alt"] for attrs, _ in page.all("img")[:-1]]  # the last is the enlarged figure's, filled in
    assert len(shown) == len(made.figures) == len(set(shown))
    (curves,) = [alt for alt in shown if alt.startswith("How training went: Digits, fixed schedule. ")]
    final = [json.loads(made_up.history(run).splitlines()[-1]) for run in runs_of(made, "DiffEnc-2-1")]
    reached = sum(line["total"] for line in final) / len(final)
    assert "DiffEnc-2-1 (3 seeds) from " in curves
    assert f" to {reached:.3g}" in curves.partition("DiffEnc-2-1 (3 seeds)")[2].partition(";")[0]
    maps = "What the encoder changes over time: DiffEnc-2-1 on Digits, fixed schedule, seed 2. "
    assert f"{maps}30 images, named original, t = 0.4" in " ".join(shown)
    ids = [attrs["id"] for _, attrs, _ in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["href"][1:] for attrs, _ in page.all("a") if attrs["href"].startswith("#")} <= set(ids)
    assert all(attrs.get("scope") for attrs, _ in page.all("th"))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_has_the_contrast_that_wcag_asks_for(made):
    schemes = re.findall(r":root \{([^}]*)\}", made.html)
    assert len(schemes) == 2  # light and dark
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
        for ink in ("ink", "soft", "accent"):
            for paper in ("paper", "shade"):
                high, low = sorted((luminance(colours[ink]), luminance(colours[paper])), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)


def test_the_same_results_give_the_same_bytes(made, copy):
    assert copy.page() == made.html


# ---- what is missing or damaged


def cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


DAMAGE = {
    "runs.csv": lambda made: (made.folder / "runs.csv").unlink(),
    "tests.csv": lambda made: (made.folder / "tests.csv").unlink(),
    "tests.csv: is not of the study's comparisons": lambda made: cut(made.folder / "tests.csv", 1500),
    "digits/seeds.json: cannot be read": lambda made: (made.folder / "tables/digits/seeds.json").unlink(),
    "digits/seeds.json: is damaged": lambda made: cut(made.folder / "tables/digits/seeds.json", 1500),
    "digits/seeds.json: is damaged, is no table": lambda made: uneven(made.folder / "tables/digits/seeds.json"),
    "digits/seeds.csv: cannot be read": lambda made: (made.folder / "tables/digits/seeds.csv").unlink(),
    "digits/seeds.csv: has 5 rows": lambda made: lines(made.folder / "tables/digits/seeds.csv", 6),
    "digits/seeds.csv: is not a table": lambda made: cut(made.folder / "tables/digits/seeds.csv", 0),
    "mnist/fixed.png: cannot be read": lambda made: (made.folder / "figures/curves/mnist/fixed.png").unlink(),
    "mnist/fixed.svg: is damaged": lambda made: cut(made.folder / "figures/curves/mnist/fixed.svg", 0),
    "mnist/manifest.json: cannot be read": lambda made: (made.data / "mnist/manifest.json").unlink(),
    "elsewhere: lies outside": lambda made: made.tables.append(made.place / "elsewhere"),
    "is of no data set of small": lambda made: made.tables.append(made.folder / "tables/cifar10/seeds"),
    "figures/doodles: is no kind of figure": lambda made: doodle(made),
}


def uneven(path):
    table = json.loads(path.read_text())
    table["rows"][1].pop()
    path.write_text(json.dumps(table))


def lines(path, count):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:count]))


def doodle(made):
    shutil.copytree(made.folder / "figures/curves", made.folder / "figures/doodles")
    made.figures.append(made.folder / "figures/doodles/mnist/fixed")


@pytest.mark.parametrize("message", DAMAGE)
def test_what_is_missing_or_damaged_is_named_in_one_line(copy, message):
    DAMAGE[message](copy)
    with pytest.raises(UserError) as caught:
        copy.page()
    assert message in str(caught.value)
    assert ";" in str(caught.value) or "known:" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not copy.out.exists()
