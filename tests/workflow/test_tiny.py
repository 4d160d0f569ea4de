"""config/tiny.yaml: all that the paper's study has, as small as can be, made as a user would make it."""

import csv
import os
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pandas as pd
import pytest
import yaml
from browser import chromium, opened
from matplotlib.image import imread
from pipeline import ROOT, check_out, diffenc, planned, snakemake

from diffenc.reporting import targets
from diffenc.study.load import load_study
from diffenc.study.outputs import FIGURES, OF_A_GROUP, OF_A_RUN, TABLES_BY_NAME

TINY, PAPER = (load_study(ROOT / f"config/{name}.yaml") for name in ("tiny", "paper"))


def stems(of_all, of_one):
    return [*of_all, *(stem for name in TINY.datasets for stem in of_one(TINY, name))]


TABLES, DRAWN = stems(targets.tables_of_all(TINY), targets.tables_of), stems([], targets.figures_of)

WITH_PUBLISHED = ("components", "literature", "fid", *TINY.selections)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, random_weights):
    """The folder of the study's results."""
    folder = check_out(tmp_path_factory.mktemp("tiny") / "clone")
    study = yaml.safe_load((folder / "config/tiny.yaml").read_text())
    study["fid"]["weights"] = "inception.pth"  # the standard ones need a network
    shutil.copy(random_weights, folder / "inception.pth")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(study))
    ended = snakemake(folder, "--cores", "2", "--show-failed-logs", "--configfile=tiny.yaml", "all")
    assert ended.returncode == 0, ended.stdout
    return folder / "results/tiny"


def test_it_has_the_papers_structure():
    assert (
        set(TINY.tables)
        == {*TABLES_BY_NAME}
        == set(PAPER.tables) | {"schedules", "weightings", "objectives", "process", "compression", "likelihood"}
    )
    assert (
        set(TINY.figures)
        == set(FIGURES)
        == set(PAPER.figures) | {"noise_levels", "processes", "compression", "likelihood"}
    )
    assert len(TINY.datasets) > 1
    assert TINY.weights
    kinds = [
        {(s.shape(run).encoder, s.shape(run).prediction) for run in s.training if not s.shape(run).process}
        for s in (TINY, PAPER)
    ]
    assert kinds[0] == kinds[1]
    assert {run.schedule for run in TINY.training} == {"fixed", "learned", "monotone"}


@pytest.mark.parametrize("stem", TABLES)
def test_no_cell_of_a_table_is_blank(tiny, stem):
    """But for names that the row above says."""
    text = (tiny / f"{stem}.md").read_text()
    header, *rows = [re.split(r" *(?<!\\)\| *", line.strip("|").strip()) for line in text.splitlines() if "|" in line]
    assert len(rows) > 1
    above = [""] * len(header)
    for row in rows[1:]:
        cells = [cell.strip() or above[i] for i, cell in enumerate(row)]
        first = next(i for i, cell in enumerate(row) if cell.strip())
        assert all(cell.strip() for cell in row[first:]), row
        above = cells
    assert len(list(csv.reader((tiny / f"{stem}.csv").open()))) == len(rows)  # the line of dashes, the header
    assert (tiny / f"{stem}.html").read_text().count("<tr>") >= len(rows)
    latex = (tiny / f"{stem}.tex").read_text()
    assert r"\toprule" in latex
    assert latex.isascii()


@pytest.mark.parametrize(
    "stem", [s for s in TABLES if s.split("/")[-1] in ("components", "literature", "fid", *TINY.selections)]
)
def test_tables_of_results_have_the_published_column(tiny, stem):
    text = (tiny / f"{stem}.md").read_text()
    assert "published" in text
    assert "not on record" in text


@pytest.mark.parametrize("stem", DRAWN)
def test_figures(tiny, stem):
    assert ElementTree.parse(tiny / f"{stem}.svg").getroot().tag.endswith("svg")
    pixels = imread(tiny / f"{stem}.png")
    assert min(pixels.shape[:2]) > 200
    assert pixels[..., :3].std() > 0.01


def test_every_kind_of_figure_is_there():
    kinds = {stem.split("/")[1] for stem in DRAWN}
    assert kinds == {*OF_A_RUN, *OF_A_GROUP}


def test_what_was_not_trained_here_says_so(tiny):
    runs = pd.read_csv(tiny / "runs.csv")
    adopted = runs[runs.model == "VDMv-authors"]
    assert adopted.device.isna().all()
    assert (adopted.steps == 12000).all()
    assert "not trained here" in (tiny / "tables/parity/cost.md").read_text()


def test_a_weighting_is_said_to_have_been_one(tiny):
    for table in ("components", "seeds", "cost", "statistics", "endpoints"):
        place = "" if table == "statistics" else "digits/"
        text = (tiny / f"tables/{place}{table}.md").read_text()
        assert ("VDMv-2, monotone schedule (sigmoid, k = 2)" in text) == (table != "cost"), table
    assert "VDMv-2, monotone schedule (sigmoid, k = 2)" in re.sub("<[^>]+>", "", (tiny / "index.html").read_text())
    frame = pd.read_csv(tiny / "tables/digits/weightings.csv")
    assert {*frame["trained"][frame["schedule"] == "monotone"]} == {"sigmoid, k = 2"}
    assert {*frame["trained"][frame["schedule"] != "monotone"]} == {"the bound"}


def test_holms_correction_is_over_the_whole_study(tiny):
    table = pd.read_csv(tiny / "tables/statistics.csv")
    assert len(table) == len(TINY.comparisons)
    p, adjusted = table.p_less.to_numpy(), table.p_holm.to_numpy()
    for i in range(len(p)):  # the definition: the largest of (m - rank) p over the p-values up to it
        at_most = [min(1, (p >= q).sum() * q) for q in p if q <= p[i]]
        assert adjusted[i] == pytest.approx(max(at_most), rel=1e-12)


def test_the_page_has_everything_and_needs_nothing(tiny):
    with chromium() as browser, opened(browser, tiny / "index.html") as shown:
        assert shown.page.locator("table").count() >= len(TABLES)
        assert shown.page.locator("figure").count() >= len(DRAWN)
        assert (shown.complaints, shown.requests) == ([], [])


def test_a_release_of_it_trains_and_measures_nothing_again(tiny, tmp_path):
    """With FID, weights of the authors' and every measurement; the files' times say nothing. Each table's cells are
    in LaTeX, no two under one name."""
    clone = tiny.parents[1]
    said = diffenc(clone, "publish", "results/tiny", "--out", tmp_path / "release")
    assert "they are another's to publish" in said
    named = "`tests/parity/", "`inception.pth`"
    assert all(name in (tmp_path / "release/README.md").read_text() for name in named)
    numbers = (tmp_path / "release/numbers.tex").read_text()
    assert all(f"diffenc:{stem.rpartition('/')[2]}/" in numbers for stem in TABLES)
    again = shutil.copytree(tmp_path / "release/code", tmp_path / "again")
    copy = shutil.copytree(tmp_path / "release", again / "results/tiny", copy_function=shutil.copyfile)
    shutil.copytree(ROOT / "tests/parity", again / "tests/parity")
    shutil.copy(clone / "inception.pth", again)
    for file in [again / "inception.pth", *(again / "tests/parity").iterdir()]:
        os.utime(file)  # newer than anything that was made of it
    shutil.rmtree(copy / "tables")
    jobs = planned(again, f"--configfile={copy}/study.yaml")
    shown = {"collect", "collect_dataset", "compare", "compare_dataset", "table", "table_of_all", "selection"}
    assert jobs.keys() <= shown | {"figure_of_run", "figure_of_group", "page", "all"}


def test_without_inceptions_weights_the_table_says_so(tiny):
    folder = tiny.parents[1]
    target = "results/tiny/tables/digits/fid.md"
    shutil.copy(folder / "config/tiny.yaml", folder / "absent.yaml")
    ended = snakemake(folder, "--cores", "2", "--show-failed-logs", target, "--configfile=absent.yaml")
    assert ended.returncode == 0, ended.stdout
    assert "no Inception weights" in (folder / target).read_text()
