import math
import re
import statistics

import made_up
import numpy as np
import pandas as pd
import pytest

from diffenc.evaluation.encoder_analysis import bands
from diffenc.io.arrays import save_arrays
from diffenc.io.errors import UserError
from diffenc.reporting.tables import formatting
from diffenc.reporting.tables.encoder import TIMES, encoder
from diffenc.reporting.tables.endpoints import endpoints
from diffenc.results.runs import collect
from diffenc.results.tests import compare
from diffenc.study import stages
from diffenc.study.stages import INSPECTION
from diffenc.study.study import run_folder


def norms(run, images=5):
    """A run's inspection.npz as arrays: smooth norms that differ from image to image and from seed to seed."""
    rng = np.random.default_rng([run.seed, len(run.model)])
    t, spectrum_t = np.array(stages.TIMES), np.array(stages.SPECTRUM_TIMES)
    curve = (np.exp(8 * (t - 1)))[:, None] * rng.uniform(0.5, 1.5, images)
    frequency, modes = bands(8, 8)
    arrays = {
        **{"t": t, "gamma": -13.3 + 18.3 * t, "image": rng.uniform(0.5, 0.9, images), "change": curve},
        **{
            "encoding": 1 - 0.5 * curve,
            "motion": 0.3 * curve,
            "residual": 0.2 * curve * rng.uniform(0.5, 1.5, images),
        },
        **{"spectrum_t": spectrum_t, "frequency": frequency, "modes": modes, "power_x": 1 / (1.0 + frequency)},
        **{name: np.ones((5, len(frequency))) for name in ("power_x_t", "power_change")},
    }
    return arrays | ({} if run.model.endswith("nt") else {"y": 0.4 + curve})


def made(tmp_path, **options):
    study = made_up.study(**options)
    folder = made_up.write_results(study, tmp_path / "small")
    for run in study.training:
        if run.model != "VDMv-2":
            save_arrays(run_folder(folder, run) / INSPECTION, norms(run))
    runs = collect(study, folder)
    return study, runs, compare(study, runs), folder


def read(sheet, tmp_path):
    """The rows of the table's Markdown by header, its notes, and its LaTeX."""
    formatting.write(sheet, tmp_path / "name", "A caption.")
    lines = (tmp_path / "name.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    cells = [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
    assert all(all(list(row.values())[3:]) for row in cells), "no cell is blank"
    latex = (tmp_path / "name.tex").read_text()
    assert latex.isascii()
    words = re.sub(r"\$[^$]*\$", "", latex[latex.index(r"\toprule") :])
    assert not re.search(r"(?<!\\)[_%#^~|]", words), "all is escaped"
    return cells, sheet.notes, latex


def test_encoder_by_hand(tmp_path):
    study, *rest = made(tmp_path)
    frame = encoder(study, *rest).frame
    assert list(frame["model"].unique()) == ["DiffEnc-2-1", "DiffEnc-2-nt"]  # VDMv-2 has no encoder
    assert list(frame["t"]) == list(TIMES) * 2
    for row in frame.to_dict("records"):
        seeds = [norms(run) for run in study.training if run.model == row["model"]]
        at = stages.TIMES.index(row["t"])
        change, y, left = [], [], []
        for arrays in seeds:
            change.append(math.sqrt(sum(v**2 for v in arrays["change"][at]) / 5))
            y.append(math.sqrt(sum(v**2 for v in arrays["y"][at]) / 5) if "y" in arrays else math.nan)
            left.append(sum(v**2 for v in arrays["residual"][at]) / sum(v**2 for v in arrays["motion"][at]))
        found = {"rms_change": change, "share_of_motion_left": left} | ({"rms_y": y} if "y" in seeds[0] else {})
        for name, values in found.items():
            assert row[name] == pytest.approx(statistics.mean(values), rel=1e-12)
            assert row[f"{name}_se"] == pytest.approx(statistics.stdev(values) / math.sqrt(3), rel=1e-12)
        assert math.isnan(row["rms_y"]) == (row["model"] == "DiffEnc-2-nt")
        assert (row["n"], row["images"]) == (3, 5)


def test_encoder_written(tmp_path):
    study, *rest = made(tmp_path)
    sheet = encoder(study, *rest)
    cells, notes, latex = read(sheet, tmp_path)
    first, last = cells[0], cells[-1]
    assert (first["t"], first["n"], last["RMS of y"]) == ("0.2", "3", "no y")
    exact = sheet.frame.iloc[0]
    assert first["RMS of x_t - x"] == f"{exact['rms_change']:.5f} ± {exact['rms_change_se']:.5f}"  # three digits
    assert float(first["RMS of x_t - x"].split()[0]) == pytest.approx(exact["rms_change"], rel=0.005)
    assert sum("1 that as much is left as without a counterterm" in note for note in notes) == 1
    assert notes[-1] == "Digits: scikit-learn's copy of the UCI test set; 5 test images."
    assert "x\\_t - x" in latex
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "name.csv"), sheet.frame, check_dtype=False)


def test_one_seed_has_no_standard_error(tmp_path):
    study, *rest = made(tmp_path, seeds=(1,), comparisons=False)
    cells, _, _ = read(encoder(study, *rest), tmp_path)
    assert all(row["share of motion left"].endswith(" ± n/a") for row in cells)
    cells, _, _ = read(endpoints(study, *rest), tmp_path)
    assert cells[0]["γ₀"] == "−13.30 (fixed)"  # noqa: RUF001


def test_a_group_without_an_encoder_says_so(tmp_path):
    study, *_ = made(tmp_path, comparisons=False)
    only = study.model_copy(update={"runs": [study.runs[0].model_copy(update={"models": ["VDMv-2"]})]})
    runs = collect(only, tmp_path / "small")
    cells, notes, _ = read(encoder(only, runs, compare(only, runs), tmp_path / "small"), tmp_path)
    assert [row["model"] for row in cells] == ["none has an encoder"]
    assert {cells[0][name] for name in ("t", "n", "RMS of x_t - x", "RMS of y", "share of motion left")} == {"n/a"}
    assert notes[-1] == "Digits: scikit-learn's copy of the UCI test set."


def spoiled(arrays, **changes):
    return {name: values for name, values in (arrays | changes).items() if values is not None}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, "is missing; make it with"),
        ({"motion": None, "residual": None}, "has no array motion"),
        ({"t": np.linspace(0, 0.9, 51)}, "t = 0.2 is not among its times; make it with"),
        ({"change": np.ones((3, 5))}, "change has shape"),
    ],
)
def test_a_bad_file_is_named(tmp_path, damage, message):
    study, *rest = made(tmp_path)
    run = next(run for run in study.training if run.model == "DiffEnc-2-nt")
    path = run_folder(tmp_path / "small", run) / INSPECTION
    path.unlink()
    if damage:
        save_arrays(path, spoiled(norms(run), **damage))
    with pytest.raises(UserError, match=message) as error:
        encoder(study, *rest)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_endpoints_by_hand(tmp_path):
    study, *rest = made(tmp_path, schedules=("learned", "fixed"))
    sheet = endpoints(study, *rest)
    learned, fixed = sheet.frame[:3].to_dict("records"), sheet.frame[3:].to_dict("records")
    for row in learned:  # made_up: seed s ends at -13.3 - 0.1 s and 5 + 0.2 s
        assert row["n"] == 3
        assert (row["gamma_0"], row["gamma_1"]) == (pytest.approx(-13.5), pytest.approx(5.4))
        assert row["gamma_0_se"] == pytest.approx(0.1 / math.sqrt(3))
        assert (row["gamma_0_lowest"], row["gamma_0_highest"]) == (pytest.approx(-13.6), pytest.approx(-13.4))
        assert (row["gamma_1_lowest"], row["gamma_1_highest"]) == (pytest.approx(5.2), pytest.approx(5.6))
        assert (row["snr_0"], row["snr_1"]) == (pytest.approx(math.exp(13.5)), pytest.approx(math.exp(-5.4)))
    assert [row["model"] for row in fixed] == ["all 3 models"]
    assert (fixed[0]["n"], fixed[0]["gamma_0"], fixed[0]["gamma_0_se"]) == (9, -13.3, 0)
    cells, notes, _ = read(sheet, tmp_path)
    assert cells[0]["γ₀"] == "−13.500 ± 0.058"  # noqa: RUF001
    assert cells[0]["γ₁, lowest to highest"] == "5.200 to 5.600"
    assert cells[0]["SNR at t = 0 to t = 1"] == "729,000 to 0.00452"
    assert (cells[3]["schedule"], cells[3]["γ₁"], cells[3]["γ₁, lowest to highest"]) == (
        "fixed",
        "5.00 (fixed)",
        "fixed",
    )
    assert not any("No schedule is learned" in note for note in notes)


def test_without_a_learned_schedule_the_fixed_one_is_said(tmp_path):
    study, *rest = made(tmp_path)
    cells, notes, _ = read(endpoints(study, *rest), tmp_path)
    assert len(cells) == 1
    assert "No end is learned here: every run keeps the end points of its configuration." in notes


def test_fixed_schedules_that_differ_have_a_row_each(tmp_path):
    study, runs, *rest = made(tmp_path)
    runs.loc[runs["model"] == "VDMv-2", "gamma_0"] = -7.9
    cells, _, _ = read(endpoints(study, runs, *rest), tmp_path)
    assert [row["γ₀"] for row in cells] == ["−7.90 (fixed)", "−13.30 (fixed)", "−13.30 (fixed)"]  # noqa: RUF001
