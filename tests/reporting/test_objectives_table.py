"""The table of objectives: what was descended, the bound, and FID where there is one."""

import json

import made_up
import pytest
from test_fid_table import scores, value

from diffenc.reporting.tables.formatting import Table
from diffenc.reporting.tables.objectives import objectives
from diffenc.reporting.targets import depends_on, table_files
from diffenc.results.runs import collect
from diffenc.study.settings import Fid, Objective, Training
from diffenc.study.stages import FID
from diffenc.study.study import run_folder

WEIGHTED = {
    "VDMv-2": None,
    "DiffEnc-2-1": Objective(weighting="min_snr", y=5.0),
    "DiffEnc-2-nt": Objective(weighting="sigmoid", k=2.0),
}


def made(tmp_path, fid=None) -> tuple[Table, object]:
    study = made_up.study(comparisons=False)
    groups = [
        study.runs[0].model_copy(
            update={
                "models": [model],
                "training": Training(steps=100, objective=objective, times="adaptive" if objective else None),
            }
        )
        for model, objective in WEIGHTED.items()
    ]
    study = study.model_copy(update={"runs": groups, "fid": fid})
    folder = made_up.write_results(study, tmp_path / "small")
    for run in study.fid_runs() if fid else []:
        (run_folder(folder, run) / FID).write_text(json.dumps(scores(run, fid)))
    for run in study.training:
        path = run_folder(folder, run) / "evaluation.json"
        content = json.loads(path.read_text()) | {"training": study.training[run].results()}
        path.write_text(json.dumps(content))
    runs = collect(study, folder)
    return objectives(study, runs, None, folder), study


def test_rows_without_fid(tmp_path):
    table, study = made(tmp_path)
    rows = table.frame.set_index("model")
    assert rows["descended"].to_dict() == {
        "VDMv-2": "the bound",
        "DiffEnc-2-1": "min_snr, y = 5, not monotone",
        "DiffEnc-2-nt": "sigmoid, k = 2",
    }
    assert rows["monotone"].tolist() == [True, False, True]
    assert rows["times"].tolist() == ["of the schedule", "adaptive", "adaptive"]
    assert rows["total"].to_dict() == pytest.approx(made_up.BASE, abs=0.01)
    assert table.columns[-1].header == "FID"
    assert any("FID, not measured here" in note for note in table.notes)
    assert table_files("objectives", study, tmp_path) == []
    assert depends_on("objectives", study) is None


def test_rows_with_depends_on_the_most_samples(tmp_path):
    fid = Fid(dataset="digits", models=["VDMv-2", "DiffEnc-2-nt"], counts=[100, 300], images=200)
    table, study = made(tmp_path, fid)
    rows = table.frame.set_index("model")
    seeds = [run for run in study.training if run.model == "VDMv-2"]
    expected = sum(value(run, 300, "test") for run in seeds) / 3
    assert rows.loc["VDMv-2", "fid_test"] == pytest.approx(expected)
    shown = next(column for column in table.columns if column.header == "FID to test")
    cells = [shown.cell(row) for row in table.frame.to_dict("records")]
    assert [cell == "not measured" for cell in cells] == [False, True, False]
    assert len(table_files("objectives", study, tmp_path)) == 6
    assert depends_on("objectives", study)["counts"] == [100, 300]
