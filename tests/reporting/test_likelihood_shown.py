"""The table and the figure of the ODE's likelihood, from made-up likelihood.json."""

import json

import made_up
import pytest

from diffenc.io.errors import UserError
from diffenc.reporting.figures import likelihood as figure
from diffenc.reporting.figures import style
from diffenc.reporting.tables.formatting import MINUS
from diffenc.reporting.tables.likelihood import likelihood
from diffenc.results.likelihood import read_alike
from diffenc.results.runs import collect
from diffenc.study.stages import LIKELIHOOD
from diffenc.study.study import run_folder


def record(run, probes=None):
    bound = made_up.BASE[run.model] + 0.01 * run.seed
    weighted = None if probes else bound + 0.25
    return {
        **{"images": 20, "draws": 3, "probes": probes, "tolerance": 1e-4, "steps": None, "precision": "float32"},
        **{"passes": 50, "seed": 0, "bound": {"mean": bound, "mc_se": 0.03}},
        "ways": [
            {
                **{"dequantisation": way, "ode": bound + more, "weighted": weighted, "dequantisation_se": 0.06},
                **{"probes_se": 0.09 if probes else None, "solver": 0.004, "evaluations": 200.0 + run.seed},
                **{"gap": -more, "gap_se": 0.1},
            }
            for way, more in (("truncated_normal", 0.5), ("variational", 0.3))
        ],
        "over_t": [
            {"t": t, "bound": 3 * (1 - t), "ode": 3.3 * (1 - t) + 0.01 * run.seed, "images": 5} for t in (0.0, 0.5)
        ],
    }


@pytest.fixture
def made(tmp_path):
    study = made_up.study()
    folder = made_up.write_results(study, tmp_path / "small")
    files = {}
    for run in study.training:
        path = run_folder(folder, run) / LIKELIHOOD
        path.write_text(json.dumps(record(run)))
        files.setdefault(run.model, []).append(path)
    return study, folder, files


def test_rows(made):
    study, folder, _ = made
    table = likelihood(study, collect(study, folder), None, folder)
    row = table.frame.iloc[1]
    assert len(table.frame) == 3 * 2
    assert (row["dequantisation"], row["n"], row["evaluations"]) == ("variational", 3, pytest.approx(202))
    assert row["bound"] == pytest.approx(2.64 + 0.02)
    assert row["ode_se"] == pytest.approx(0.01 / 3**0.5)
    assert (row["gap"], row["gap_se"]) == (pytest.approx(-0.3), pytest.approx(0, abs=1e-12))
    assert (row["mc_se"], row["dequantisation_se"]) == (pytest.approx(0.03 / 3**0.5), pytest.approx(0.06 / 3**0.5))
    cells = [{column.header: column.cell(row) for column in table.columns} for row in table.frame.to_dict("records")]
    assert table.frame["dequantisation"][0] == "truncated normal"
    assert cells[1]["gap"] == f"{MINUS}0.300 ± 0.000"
    assert (cells[1]["probes"], cells[1]["solver"], cells[1]["Monte Carlo"]) == ("n/a", "0.0040", "0.0173")
    assert any("the exact trace, solved to a tolerance of 0.0001 in float32" in note for note in table.notes)
    assert any("the first 20 test images, 3 draws of z_0 each" in note for note in table.notes)


def test_lines(made):
    _, _, files = made
    records = iter(read_alike(path for paths in files.values() for path in paths))
    models = {name: [next(records) for _ in paths] for name, paths in files.items()}
    with style.styled():
        drawn = figure.draw(models, "Title", list(files))
    both, gap = drawn.axes
    assert (len(both.lines), len(gap.lines)) == (2 * 3, 3 + 1)
    assert both.lines[0].get_ydata() == pytest.approx([3, 1.5])
    seeds = len(next(iter(models.values())))
    shift = 0.01 * (seeds + 1) / 2
    assert gap.lines[0].get_ydata() == pytest.approx([-0.3 - shift, -0.15 - shift])


def test_other_settings_are_named(made):
    study, folder, files = made
    path = files["DiffEnc-2-1"][1]
    run = next(run for run in study.training if run_folder(folder, run) / LIKELIHOOD == path)
    path.write_text(json.dumps(record(run, probes=4)))
    with pytest.raises(UserError, match=r"seed2/likelihood.json: probes is 4, in .* it is None; make it"):
        likelihood(study, collect(study, folder), None, folder)
