import json
from pathlib import Path

import made_up
import pandas as pd
import pytest

from diffenc.io.errors import UserError
from diffenc.io.files import write_csv
from diffenc.results import records
from diffenc.results.runs import RUN_COLUMNS, collect, read_runs
from diffenc.results.tests import read_tests
from diffenc.study.load import load_study
from diffenc.study.stages import COST, EVALUATION, TERMS
from diffenc.study.study import Run, run_folder

RUN = Run("digits", "VDMv-2", "fixed", 2)


@pytest.fixture
def folder(tmp_path):
    return made_up.write_results(made_up.study(), tmp_path / "small")


def change(folder, **values):
    path = run_folder(folder, RUN) / EVALUATION
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_collect_gives_every_number_of_every_file(folder):
    study = made_up.study()
    runs = collect(study, folder)
    assert tuple(runs.columns) == RUN_COLUMNS
    assert len(runs) == 3 * 3 * 4
    assert list(runs["term"][:4]) == ["total", "diffusion", "latent", "reconstruction"]
    for row in runs.to_dict("records"):
        path = folder / "runs" / row["dataset"] / row["model"] / row["schedule"] / f"seed{row['seed']}"
        written = json.loads((path / "evaluation.json").read_text())
        written |= json.loads((path / "cost.json").read_text())
        bpd = written.pop("bpd")[row["term"]]
        assert row["bpd"] == bpd["mean"]
        assert row["mc_se"] == bpd["mc_se"]
        assert {key: row[key] for key in written if key in row} == {k: v for k, v in written.items() if k in row}


def test_the_part_of_one_data_set():
    whole = load_study(Path(__file__).parents[2] / "config/paper.yaml")
    assert len(whole.training) == len(whole.devices) == 101
    part = whole.only("imagenet32")
    assert {run.dataset for run in part.training} == {run.dataset for run in part.devices} == {"imagenet32"}
    assert len(part.training) == 6


def test_a_missing_cost_is_not_made_by_training_again(folder):
    path = run_folder(folder, RUN) / COST
    path.unlink()
    with pytest.raises(UserError, match=r"cost\.json: is missing; `snakemake \S+cost\.json --cores 1`"):
        collect(made_up.study(), folder)


def test_runs_csv_keeps_every_digit_and_a_missing_standard_error(folder):
    change(folder, bpd={t: {"mean": 1 / 3, "mc_se": None} for t in TERMS})
    runs = collect(made_up.study(), folder)
    write_csv(runs, folder / "runs.csv")
    pd.testing.assert_frame_equal(read_runs(folder / "runs.csv"), runs, check_exact=True, check_dtype=False)
    assert runs["mc_se"].isna().sum() == 4


def test_a_missing_evaluation_names_the_file_and_its_target(folder):
    path = run_folder(folder, RUN) / EVALUATION
    path.unlink()
    with pytest.raises(UserError) as error:
        collect(made_up.study(), folder)
    assert str(path) in str(error.value)
    assert "`snakemake --force results/small/runs/digits/VDMv-2/fixed/seed2/evaluation.json --cores 1`" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"seed": 3}, "seed is 3"),
        ({"model": "VDMv-8"}, "model is 'VDMv-8'"),
        ({"study": "other"}, "study is 'other'"),
        ({"passes": 2}, "passes is 2"),
        ({"steps": 50}, "steps is 50"),
        ({"bpd": {}}, "bpd.total: is missing"),
        ({"seed": "2"}, "seed: '2' is text"),
        ({"bpd": {t: {"mean": float("nan"), "mc_se": 0.1} for t in TERMS}}, "bpd.total.mean"),
        ({"release": "older"}, "release is"),
        ({"parameters": 7}, "parameters is"),
    ],
)
def test_another_runs_or_a_damaged_evaluation_is_named(folder, values, named):
    change(folder, **values)
    with pytest.raises(UserError) as error:
        collect(made_up.study(), folder)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", '{"study": "sm', "[1, 2]"])
def test_a_truncated_evaluation_is_named(folder, content):
    path = run_folder(folder, RUN) / EVALUATION
    path.write_text(content)
    with pytest.raises(UserError, match="is damaged") as error:
        collect(made_up.study(), folder)
    assert str(path) in str(error.value)


def test_a_table_without_a_file_or_a_column_is_named(tmp_path):
    with pytest.raises(UserError, match=r"runs\.csv: cannot be read"):
        read_runs(tmp_path / "runs.csv")
    (tmp_path / "runs.csv").write_text("dataset,model\ndigits,VDMv-2\n")
    with pytest.raises(UserError, match=r"runs\.csv: has no column release"):
        read_runs(tmp_path / "runs.csv")
    (tmp_path / "tests.csv").write_text("")
    with pytest.raises(UserError, match=r"tests\.csv: is not a table"):
        read_tests(tmp_path / "tests.csv")


def test_history_comes_in_order_of_steps(tmp_path):
    lines = made_up.history(RUN).splitlines()
    (tmp_path / "h.jsonl").write_text("\n".join(reversed(lines)))
    history = records.read_history(tmp_path / "h.jsonl")
    assert list(history["step"]) == list(range(50, 1001, 50))
    assert history["total"][0] == json.loads(lines[0])["total"]


@pytest.mark.parametrize(
    ("content", "named"),
    [("", "is empty"), ('{"step": 1}', "line 1: total"), ("3", "line 1"), ('{"step": 1, "to', "line 1: is damaged")],
)
def test_a_damaged_history_is_named(tmp_path, content, named):
    (tmp_path / "h.jsonl").write_text(content)
    with pytest.raises(UserError, match=named):
        records.read_history(tmp_path / "h.jsonl")


def test_a_history_with_a_step_twice_is_refused(tmp_path):
    line = made_up.history(RUN).splitlines()[0]
    (tmp_path / "h.jsonl").write_text(f"{line}\n{line}\n")
    with pytest.raises(UserError, match="step 50 is given twice"):
        records.read_history(tmp_path / "h.jsonl")
