import json
import math
import re
import statistics

import made_up
import made_up_depth
import pandas as pd
import pytest

from diffenc.io.errors import UserError
from diffenc.reporting.tables import formatting
from diffenc.reporting.tables.depth import depth
from diffenc.results.runs import collect
from diffenc.results.tests import compare
from diffenc.study.stages import DEPTH
from diffenc.study.study import run_folder


def made(tmp_path, below=(), fitted=False, **options):
    study, folder = made_up.study(**options), tmp_path / "small"
    made_up.write_results(study, folder)
    made_up_depth.write(study, folder, below=below, fitted=fitted)
    runs = collect(study, folder)
    return study, runs, compare(study, runs), folder


def read(sheet, tmp_path):
    """The rows of the table's Markdown by header, and its LaTeX."""
    formatting.write(sheet, tmp_path / "name", "A caption.")
    lines = (tmp_path / "name.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]], (tmp_path / "name.tex").read_text()


def test_rows_by_hand(tmp_path):
    study, *rest = made(tmp_path, schedules=("fixed", "learned"))
    frame = depth(study, *rest).frame
    assert list(frame["T"][:4]) == [10, 100, 1000, math.inf]
    assert len(frame) == 2 * 3 * 4
    for row in frame.to_dict("records"):
        seeds = [made_up_depth.record(run) for run in study.training if run[:3] == named(row)]
        assert (row["n"], row["images"], row["passes"]) == (3, 300, 2)
        if math.isinf(row["T"]):
            continuous = [seed["continuous"]["total"]["mean"] for seed in seeds]
            assert row["total_best"] == row["total_sigma_Q"] == pytest.approx(statistics.mean(continuous), abs=1e-12)
            assert row["total_w=0.5"] == row["total_w=1.1"] == math.inf
            continue
        at = [level for seed in seeds for level in seed["depths"] if level["T"] == row["T"]]
        for bound in ("sigma_Q", "best", "w=0.5", "w=1.1"):
            totals = [level["bounds"][bound]["total"]["mean"] for level in at]
            assert row[f"total_{bound}"] == pytest.approx(statistics.mean(totals), abs=1e-12)
            assert row[f"total_{bound}_se"] == pytest.approx(statistics.stdev(totals) / math.sqrt(3), abs=1e-12)
        assert row["gain"] == pytest.approx(row["total_sigma_Q"] - row["total_best"], abs=1e-12)
        assert row["excess_best"] == pytest.approx(6 / row["T"])
        lowest = [min(ratio["w"] for ratio in level["ratio"]) for level in at]
        assert row["best_w_lowest"] == pytest.approx(statistics.mean(lowest))


def named(row):
    return row["dataset"], row["model"], row["schedule"]


def test_what_is_read(tmp_path):
    study, *rest = made(tmp_path)
    sheet = depth(study, *rest)
    cells, latex = read(sheet, tmp_path)
    first, last = sheet.frame.loc[0], cells[3]
    assert cells[0]["sigma_P = sigma_Q"] == f"{first['total_sigma_Q']:.3f} ± {first['total_sigma_Q_se']:.3f}"
    assert cells[0]["gain of the best"] == f"{first['gain']:.3f} ± {first['gain_se']:.3f}"
    assert re.fullmatch(r"0\.\d{3} to 0\.\d{3}", cells[0]["best w over the steps"])
    assert (last["T"], last["w = 0.5"], last["w = 1.1"], last["gain of the best"]) == ("∞", "∞", "∞", "none")
    assert last["best w over the steps"] == "1.000"
    assert last["best sigma_P"] == last["sigma_P = sigma_Q"]
    assert [row["T"] for row in cells] == ["10", "100", "1,000", "∞"] * 3
    assert all(value for row in cells for name, value in row.items() if name not in ("data set", "schedule", "model"))
    assert latex.isascii()
    words = re.sub(r"\$[^$]*\$", "", latex[latex.index(r"\toprule") :])
    assert not re.search(r"(?<!\\)[_%#^~|]", words), "all is escaped"
    assert pd.read_csv(tmp_path / "name.csv", dtype={"T": str})["T"][:4].tolist() == ["10", "100", "1000", "inf"]


def test_the_best_steps_where_they_were_fitted(tmp_path):
    study, *rest = made(tmp_path, fitted=True)
    sheet = depth(study, *rest)
    cells, _ = read(sheet, tmp_path)
    row = sheet.frame.loc[0]
    assert row["total_best_steps_and_sigma_P"] == pytest.approx(row["total_best"] - 0.2)
    assert cells[0]["best steps"] == f"{row['total_best_steps']:.3f} ± {row['total_best_steps_se']:.3f}"
    assert [row["best steps and sigma_P"] for row in cells[1:3]] == ["not fitted"] * 2
    assert cells[3]["best steps"] == cells[3]["sigma_P = sigma_Q"]
    assert "found on 200 training images" in " ".join(sheet.notes)


def test_notes_have_the_numbers(tmp_path):
    study, *rest = made(tmp_path)
    notes = " ".join(depth(study, *rest).notes)
    # (w - 1 - log w) / (2 log 2), from the definition
    assert "0.1393 for w = 0.5" in notes
    assert "0.0034 for w = 1.1" in notes
    gains = depth(study, *rest).frame.query("T == 10")["gain"]
    assert f"{gains.min():.3f} to {gains.max():.3f} at T = 10," in notes
    assert "the first 300 test images, 2 passes" in notes
    assert "below the bound in continuous time" not in notes
    assert "training images" not in notes


@pytest.mark.parametrize(
    ("bins", "said"),
    [
        ((2, 7, 9), "here in 2 to 9 bins"),
        ((1, 1, 1), "here all steps are one bin, with one w"),
        ((3, 3, 3), "in 3 bins"),
    ],
)
def test_notes_say_in_how_many_bins_the_best_was_fitted(tmp_path, bins, said):
    study, *rest, folder = made(tmp_path)
    for run in study.training:
        path = run_folder(folder, run) / DEPTH
        content = json.loads(path.read_text())
        for level, count in zip(content["depths"], bins, strict=True):
            level["ratio"] = level["ratio"][:count]
        path.write_text(json.dumps(content))
    sheet = depth(study, *rest, folder)
    assert said in sheet.notes[1]
    assert sheet.frame["bins"].tolist() == [*bins, 0] * 3


def test_a_best_bound_below_the_continuous_one_is_named(tmp_path):
    study, *rest = made(tmp_path, below=(100,), seeds=(1,), comparisons=False)
    sheet = depth(study, *rest)
    cells, _ = read(sheet, tmp_path)
    assert any("VDMv-2, fixed, T = 100; DiffEnc-2-1, fixed, T = 100" in note for note in sheet.notes)
    assert cells[0]["best sigma_P"].endswith("± n/a")
    assert cells[0]["n"] == "1"


def test_what_is_missing_or_other_is_named(tmp_path):
    study, *rest, folder = made(tmp_path)
    run = list(study.training)[4]
    path = run_folder(folder, run) / DEPTH
    text = path.read_text()
    path.write_text(text.replace('"passes": 2', '"passes": 3'))
    with pytest.raises(UserError, match=r"seed2/depth.json: passes is 3, in .*seed1/depth.json it is 2; make it"):
        depth(study, *rest, folder)
    path.write_text(text.replace('"T": 100,', '"T": 101,'))
    with pytest.raises(UserError, match=r"depths is \[10, 101, 1000\], in "):
        depth(study, *rest, folder)
    path.unlink()
    with pytest.raises(UserError, match=r"seed2/depth.json: cannot be read"):
        depth(study, *rest, folder)
