import base64
import hashlib
import json
import re
import shutil
import statistics
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import made_up
import pytest
from made_up_page import SOURCE, Made
from scipy import stats

from diffenc.io.errors import UserError
from diffenc.io.files import write_csv
from diffenc.reporting.html import numbers, provenance, summary, tables
from diffenc.reporting.tables.formatting import MINUS
from diffenc.results.tests import add_holm, read_tests
from diffenc.study.stages import CHECKSUMS, CONFIG, EVALUATION, MODEL, RUNS, TESTS
from diffenc.study.study import run_folder

PARITY = Path(__file__).parents[1] / "parity"
VOID = {"meta", "link", "img", "br", "input"}
CELLS = {"td", "th", "dt", "dd", "br"}


class Parsed(HTMLParser):
    """A page's elements in order: (tag, attributes, the text within)."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.stack = [], []
        self.feed(page)
        self.close()
        assert not self.stack, "every element is closed"

    def handle_starttag(self, tag, attrs):
        if tag in CELLS:
            self.handle_data(" ")
        self.elements.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self.stack.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.stack.pop()[0] == tag, "elements are nested"

    def handle_data(self, data):
        for element in self.stack:
            element[2] += data

    def all(self, tag, **wanted):
        """The elements of that tag whose attributes are these; `class` by one of its words."""
        kind = wanted.pop("kind", None)
        return [
            (attrs, " ".join(text.split()))
            for name, attrs, text in self.elements
            if name == tag
            and all(attrs.get(key) == value for key, value in wanted.items())
            and (kind is None or kind in attrs.get("class", "").split())
        ]

    def text(self, tag, **wanted):
        return [text for _, text in self.all(tag, **wanted)]


@pytest.fixture(scope="module")
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


def small(tmp_path, **changes):
    """A study of one data set without tables or figures; `changes` replace lines of its file."""
    source = SOURCE
    for line, other in changes.values():
        assert line in source
        source = source.replace(line, other)
    return Made(tmp_path, source).results()


def totals(made, dataset, model, schedule="fixed"):
    runs = [run for run in made.study.all_runs if run[:3] == (dataset, model, schedule)]
    return [made_up.evaluation(run)["bpd"]["total"]["mean"] for run in runs]


def cells(page, name):
    """{header: column} of a table of the page."""
    section = page[page.index(f'id="table-{name}"') :]
    parsed = Parsed(section[section.index("<table") : section.index("</table>") + len("</table>")])
    heads, texts = parsed.text("th"), parsed.text("td")
    return {head: texts[j :: len(heads)] for j, head in enumerate(heads)}


# ---- what it says


def test_the_paragraph_gives_the_main_comparison_as_scipy_finds_it(made):
    a, b = totals(made, "digits", "DiffEnc-2-1"), totals(made, "digits", "VDMv-2")
    test = stats.ttest_ind(a, b, equal_var=False, alternative="less")
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    said = made.parsed.text("p", kind="finding")[0].replace("\N{NO-BREAK SPACE}", " ").replace(MINUS, "-")
    assert test.pvalue < 0.001
    assert f"{statistics.mean(a):.4f} and {statistics.mean(b):.4f} bits per dimension" in said
    assert f"a difference of {statistics.mean(a) - statistics.mean(b):.4f}, with a 95 % interval" in said
    assert f"from {interval.low:.4f} to {interval.high:.4f}, and a one-sided p < 0.001 by Welch's test" in said
    assert "whether DiffEnc-2-1 has a lower loss than VDMv-2 on Digits with the fixed schedule" in said
    assert "Of the study's 3 claims, 2 pass the 5 % level after Holm's correction." in said


def test_the_paragraph_says_what_was_run(made):
    said = made.parsed.text("header")[0]
    assert "This study compares 3 models on Digits and MNIST." in said
    assert (
        "DiffEnc-2-nt with the fixed noise schedule; VDMv-2 and DiffEnc-2-1 with the learned noise schedule" in said
    )
    assert "were trained for 100 steps, with 2 or 3 seeds each." in said
    assert f"That makes {3 * 3 + 2 * 2 + 2 * 3} trainings in all." in said
    assert "300 of Digits and 300 of MNIST" in said


def test_one_model_and_one_seed_are_said_in_the_singular(tmp_path):
    lone = "  - {dataset: mnist, models: [VDMv-2], seeds: [1], training: {steps: 100}}"
    runs = SOURCE[SOURCE.index("  - {dataset: digits, models") : SOURCE.index("evaluation:")]
    made = small(tmp_path, runs=(runs, f"{lone}\n"))
    said = Parsed(made.page()).text("header")[0]
    assert "This study is of one model, VDMv-2, on MNIST." in said
    assert "On MNIST, VDMv-2 with the fixed noise schedule was trained for 100 steps, with 1 seed." in said
    assert "That makes 1 training in all." in said
    assert "names no comparison, so nothing is tested" in said
    assert "2.640 ± n/a" in made.out.read_text()


def row(difference, low, high, p, p_holm):
    names = {"lower": "A", "than": "B", "p_less": p, "p_holm": p_holm}
    return names | {"difference": difference, "ci95_low": low, "ci95_high": high}


@pytest.mark.parametrize(
    ("test", "says"),
    [
        (row(-2, -3, -1, 0.001, 0.003), "speaks for the claim, also after Holm's correction."),
        (row(-2, -3, -1, 0.02, 0.05), "speaks for the claim, also after Holm's correction."),
        (row(-2, -3, -1, 0.02, 0.06), "speaks for the claim, but not after Holm's correction."),
        (
            row(-2, -5, 1, 0.04, 0.04),
            "speaks for the claim, also after Holm's correction. The two-sided interval still",
        ),
        (row(-1, -5, 3, 0.05, 0.06), "speaks for the claim, but not after Holm's correction. The two-sided"),
        (row(-1, -5, 3, 0.3, 0.9), "decides nothing"),
        (row(1, -1, 3, 0.8, 1), "decides nothing"),
        (row(2, 1, 3, 0.99, 1), "speaks against the claim: A is higher"),
        (row(-0.01, -0.01, -0.01, 0.0, 0.0), "no seed's loss differs from another's, and A is lower by 0.0100"),
        (row(0.01, 0.01, 0.01, 1.0, 1.0), "A is higher by 0.0100"),
        (row(0.0, 0.0, 0.0, 0.5, 1.0), "A and B are equal"),
    ],
)
def test_a_test_is_read_as_what_it_is(test, says):
    assert says in summary.reading(test, tests=3)


def test_one_test_is_not_corrected():
    assert summary.reading(row(-2, -3, -1, 0.02, 0.02), tests=1) == "speaks for the claim."


def test_holms_p_values_stand_beside_the_tests(made):
    tests = made.tests.copy()
    total = tests["term"] == "total"
    tests.loc[total, "p_less"] = [0.03, 0.01, 0.04]
    tests.loc[total, ["ci95_low", "ci95_high"]] = -2.0, -1.0
    # by hand: the smallest three times, the next twice, the largest once but not below the one before
    tests = add_holm(tests)
    claims = summary.claims(made.study, tests)
    assert [claim.p for claim in claims] == ["0.030", "0.010", "0.040"]
    assert [claim.holm for claim in claims] == ["0.060", "0.030", "0.060"]
    assert [", but not after" in claim.reading for claim in claims] == [True, False, True]
    finding = summary.summary(made.study, made.runs, tests).finding
    assert "The test speaks for the claim, but not after Holm's correction." in finding
    assert "Of the study's 3 claims, 1 passes the 5 % level" in finding
    # they are read, not made again: the table and the page have one source; and 0.05 is at most 5 %
    tests.loc[total, "p_holm"] = [0.05, 0.07, 0.5]
    assert [claim.holm for claim in summary.claims(made.study, tests)] == ["0.050", "0.070", "0.500"]
    finding = summary.summary(made.study, made.runs, tests).finding
    assert "speaks for the claim, also after Holm's correction." in finding
    assert "1 passes the 5 % level" in finding


def test_tests_without_holms_column_are_refused(copy):
    path = copy.folder / TESTS
    write_csv(read_tests(path).drop(columns="p_holm"), path)
    with pytest.raises(UserError, match=r"tests\.csv: has no column p_holm; make it"):
        copy.page()


def test_each_way_of_measuring_has_a_sentence_with_its_data_sets(made):
    runs, tests = made.runs, made.tests
    alike = summary.summary(made.study, runs, tests).measured
    assert "It is averaged over 10 passes with fresh noise" in alike
    assert "(test images: 300 of Digits and 300 of MNIST)." in alike
    mnist = runs["dataset"] == "mnist"
    given = runs.assign(passes=runs["passes"].where(~mnist, 1), protocol=runs["protocol"].where(~mnist, "given"))
    said = summary.summary(made.study, given, tests).measured
    assert "On Digits it is averaged over 10 passes with fresh noise that is the same for every model" in said
    assert "(test images: 300 of Digits)." in said
    assert "On MNIST it is of 1 pass with the noise given with the data set" in said
    assert "(test images: 300 of MNIST)." in said
    authors = summary.summary(made.study, runs.assign(protocol="authors"), tests).measured
    assert "10 passes with noise as the authors' code draws it" in authors


def test_the_tests_and_the_meaning_of_p_stand_together(made):
    said = made.parsed.text("section", id="tests")[0].replace("\N{NO-BREAK SPACE}", " ")
    for word in ("One-sided p, Welch", "correction The more claims", "paired over images", "Here they are 3 tests"):
        assert word in said
    for claim in summary.claims(made.study, read_tests(made.folder / TESTS)):
        assert f"{claim.claim} {claim.of} {claim.n} {claim.difference} {claim.p} {claim.holm} {claim.reading}" in said


def test_counts_and_lists():
    assert summary.counted(1, "seed") == "1 seed"
    assert summary.counted(2_000_000, "step") == "2,000,000 steps"
    assert summary.counted(2, "pass", "passes") == "2 passes"
    assert summary.listed(["a"]) == "a"
    assert summary.listed(["a", "b", "c"]) == "a, b and c"
    assert [summary.ranged(of, "seed") for of in ([3], [2, 3], [5, 3])] == ["3 seeds", "2 or 3 seeds", "3 to 5 seeds"]


def test_main_numbers_are_means_over_seeds_on_one_axis(made):
    groups = numbers.groups(made.study, made.runs)
    assert {name: [group.schedule for group in of] for name, of in groups.items()} == {
        "digits": ["fixed", "learned"],
        "mnist": ["fixed"],
    }
    group = groups["digits"][0]
    values = {model: totals(made, "digits", model) for model in ("VDMv-2", "DiffEnc-2-1", "DiffEnc-2-nt")}
    assert [bar.model for bar in group.bars if bar.best] == ["DiffEnc-2-1"]
    # places are a straight line through the values
    points = [(v, x) for bar in group.bars for v, x in zip(values[bar.model], bar.dots, strict=True)]
    points += [(statistics.mean(values[bar.model]), bar.mean) for bar in group.bars]
    line = stats.linregress(*zip(*points, strict=True))
    assert line.slope > 0
    assert line.rvalue == pytest.approx(1, abs=1e-6)
    assert all(0 < x < 100 for _, x in points)
    for bar in group.bars:
        mean, se = statistics.mean(values[bar.model]), statistics.stdev(values[bar.model]) / 3**0.5
        assert bar.value == f"{mean:.3f} ± {'<0.001' if se < 0.0005 else f'{se:.3f}'}"
        assert bar.spread[1] - bar.spread[0] == pytest.approx(2 * se * line.slope, abs=0.03)


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


def test_it_can_be_read_by_everyone(made):
    page = made.parsed
    assert page.all("html")[0][0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    shown = [attrs["alt"] for attrs, _ in page.all("img")[:-1]]  # the last is the enlarged figure's, filled in
    assert len(shown) == len(made.figures) == len(set(shown))
    assert "Heatmaps: DiffEnc-2-1 on Digits, fixed schedule, seed 2. How the encoding changes" in " ".join(shown)
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


# ---- costs and provenance


def test_costs_are_sums_of_the_runs(made):
    section = made.parsed.text("section", id="costs")[0]
    assert f"{sum(0.5 * run.seed for run in made.study.all_runs):.1f} device-hours" in section
    costs, _ = numbers.costs(made.study, made.runs)
    assert [cost[:4] for cost in costs][3:5] == [("Digits", "learned", m, 2) for m in ("VDMv-2", "DiffEnc-2-1")]
    assert (costs[0].each, costs[0].total, costs[0].attempts) == ("1.00", "3.00", "9")
    assert [numbers.hours(h) for h in (0, 0.00214, 12.34, 4120.4)] == ["0", "0.00214", "12.3", "4,120"]


def test_weights_from_elsewhere_are_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setitem(made_up.BASE, "theirs", 2.5)
    paths = {"path": str(PARITY / "vdmv_12000.gz"), "config": str(PARITY / "vdmv.json")}
    group = {"dataset": "digits", "models": ["theirs"], "seeds": [1], "weights": {"format": "authors", **paths}}
    written = made_up.write_results

    def write(study, folder):
        written(study, folder)
        place = run_folder(folder, study.all_runs[0])
        place.mkdir(parents=True, exist_ok=True)
        content = made_up.evaluation(study.all_runs[0]) | {"training": {}}
        (place / EVALUATION).write_text(json.dumps(content))
        (place / CONFIG).write_text("weights: {format: authors, sha256: 0123abcd}\n")

    monkeypatch.setattr(made_up, "write_results", write)
    made = small(tmp_path, runs=("runs:\n", f"runs:\n  - {json.dumps(group)}\n"))
    page = Parsed(made.page())
    said = page.text("header")[0]
    trained = len(made.study.training)
    assert f"Of {trained + 1} runs, {trained} were trained here; the others' weights are the authors'." in said
    assert "theirs 1 not trained here not trained here" in page.text("section", id="costs")[0]
    assert "digits/theirs/fixed/seed1" in page.text("section", id="provenance")[0]
    assert "the authors' file, sha256 0123abcd" in page.text("section", id="provenance")[0]
    (made.folder / "runs/digits/theirs/fixed/seed1" / CONFIG).write_text("weights: none\n")
    with pytest.raises(UserError, match=r"config\.yaml: is damaged"):
        made.page()


def test_provenance_has_checksums_versions_and_the_configuration(made):
    import torch

    section = made.parsed.text("section", id="provenance")[0]
    for run in made.study.all_runs:
        assert f"{run.path} {hashlib.sha256(run.path.encode()).hexdigest()} trained here" in section
    for name in ("digits", "mnist"):
        manifest = json.loads((made.data / name / "manifest.json").read_text())
        for checksum in (manifest["test"]["sha256"], *manifest["originals"].values()):
            assert checksum in section
        assert manifest["release"] in section
    assert dict(provenance.versions())["torch"] == torch.__version__.partition("+")[0]
    assert "--configfile config/small.yaml" in section


def test_a_study_that_was_trained_elsewhere_needs_neither_weights_nor_data(copy):
    """But for their checksums."""
    for run in copy.study.all_runs:
        (run_folder(copy.folder, run) / MODEL).unlink()
    shutil.move(copy.data, copy.folder / "data")
    sha256 = hashlib.sha256(b"theirs").hexdigest()
    (copy.folder / CHECKSUMS).write_text(f"{sha256}  runs/digits/VDMv-2/fixed/seed1/model.safetensors\n")
    section = Parsed(copy.page()).text("section", id="provenance")[0]
    assert f"digits/VDMv-2/fixed/seed1 {sha256} trained here; weights not here" in section
    assert "digits/VDMv-2/fixed/seed2 no checksum trained here; weights not here" in section
    assert json.loads((copy.folder / "data/mnist/manifest.json").read_text())["train"]["sha256"] in section


def test_the_commit_and_whether_it_was_changed(tmp_path):
    package = tmp_path / "repository" / "diffenc"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")

    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
        command = ["git", "-C", str(package.parent), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert provenance.commit(package).startswith("unknown")
    git("init")
    git("commit", "--allow-empty", "-m", "first")
    assert provenance.commit(package).startswith("unknown"), "installed into another repository, not tracked by it"
    git("add", "diffenc/__init__.py")
    git("commit", "-m", "second")
    head = git("rev-parse", "HEAD")
    (package / "untracked.py").write_text("")
    assert provenance.commit(package) == f"{head}, unchanged"
    (package / "__init__.py").write_text("changed = True\n")
    assert provenance.commit(package) == f"{head}, with changes that are not committed"


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
