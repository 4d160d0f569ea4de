import json
import re
from pathlib import Path

import made_up
import made_up_paper
import pytest

from diffenc.cli.main import main
from diffenc.data.catalog import DATASETS
from diffenc.io.errors import UserError
from diffenc.io.files import write_csv
from diffenc.reporting.plan import Measured, Sustained, beside, frame, plan
from diffenc.results.runs import collect
from diffenc.study.load import load_study
from diffenc.study.stages import COST, EVALUATION, RUNS
from diffenc.study.study import run_folder
from diffenc.zoo.build import build, parameters
from diffenc.zoo.flops import flops

ROOT = Path(__file__).parents[2]
PARITY = ROOT / "tests" / "parity"
STEPS, BATCH = 50, 16
TRAINING = {"steps": STEPS, "batch": BATCH}
DIGITS = {"dataset": "digits", "models": ["VDMv-2", "DiffEnc-2-1"], "seeds": [1, 2], "training": TRAINING}


def earlier(tmp_path, hours, device=lambda run: "cpu"):
    """The runs.csv of an earlier study on digits, its runs' folders beside it."""
    study = made_up_paper.study(DIGITS)
    folder = tmp_path / "results" / study.name
    for run in study.all_runs:
        place = run_folder(folder, run)
        place.mkdir(parents=True)
        training = study.training[run].results()
        content = made_up.evaluation(run, study_name=study.name, steps=STEPS, training=training)
        (place / EVALUATION).write_text(json.dumps(content))
        cost = {"device": device(run), "device_hours": hours(run), "peak_gib": 1.0, "attempts": 1}
        (place / COST).write_text(json.dumps(cost))
    write_csv(collect(study, folder), folder / RUNS)
    return folder / RUNS


def by_model(found):
    return found.set_index(["dataset", "model", "schedule"])


def test_the_papers_plan_by_hand():
    study = load_study(ROOT / "config" / "paper.yaml")
    found = by_model(frame(study, Sustained(350.0)))
    assert found["runs"].sum() == len(study.training)
    row = found.loc["cifar10", "VDMv-32", "fixed"]
    # three passes of 53.37 GFLOP, 128 images, 8 million steps
    assert row["flop_per_run"] == pytest.approx(3 * 53.369897984e9 * 128 * 8e6)
    assert row["hours_per_run"] == pytest.approx(row["flop_per_run"] / 350e12 / 3600)
    assert row["hours"] == pytest.approx(3 * row["hours_per_run"])
    row = found.loc["imagenet32", "DiffEnc-32-8", "fixed"]
    stem = 2 * 9 * (3 + 64) * 64 * 32**2  # once, not four times
    assert row["flop_per_run"] == pytest.approx((3 * 212.320913408e9 + 12 * 2.686222848e9 - 9 * stem) * 256 * 1.5e6)
    assert found["parameters"]["cifar10", "VDMv-8", "fixed"] == 8_905_219
    assert found["parameters"]["cifar10", "DiffEnc-8-2", "fixed"] == 10_811_462
    assert found["parameters"]["cifar10", "VDMv-8", "learned"] == 8_905_219 + 2


@pytest.mark.parametrize("model", DIGITS["models"])
@pytest.mark.parametrize("schedule", ["fixed", "learned"])
def test_parameters_are_those_of_the_model_that_is_built(model, schedule):
    study = made_up_paper.study({**DIGITS, "models": [model], "schedule": schedule})
    expected = parameters(build(model, DATASETS["digits"], schedule))
    assert frame(study, None)["parameters"].tolist() == [expected]


def test_an_earlier_study_measures(tmp_path):
    hours = {"VDMv-2": 0.5, "DiffEnc-2-1": 2.0}
    path = earlier(tmp_path, lambda run: hours[run.model] * (2 / 3 if run.seed == 1 else 4 / 3))
    group = {"dataset": "digits", "models": ["VDMv-2", "DiffEnc-2-1", "VDMv-4"], "seeds": [1, 2, 3]}
    wanted = made_up_paper.study(group | {"training": {"steps": 100, "batch": 32}})
    found = by_model(frame(wanted, Measured(path)))
    # four times the images, and the mean of both seeds
    assert found["hours_per_run"]["digits", "VDMv-2", "fixed"] == pytest.approx(4 * 0.5)
    assert found["hours_per_run"]["digits", "DiffEnc-2-1", "fixed"] == pytest.approx(4 * 2.0)
    assert found["basis"].tolist()[:2] == ["measured", "measured"]
    # VDMv-4 needs 104 MFLOP an image, DiffEnc-2-1 160, VDMv-2 67: it sustains the FLOP/s of the nearest, by ratio
    nearest, larger = (found.loc["digits", model, "fixed"] for model in ("DiffEnc-2-1", "VDMv-4"))
    assert larger["basis"].startswith("digits/DiffEnc-2-1, ")
    expected = nearest["hours_per_run"] * larger["flop_per_run"] / nearest["flop_per_run"]
    assert larger["hours_per_run"] == pytest.approx(expected)
    sustained = float(re.search(r", (\S+) TFLOP/s", larger["basis"])[1])
    assert sustained == pytest.approx(larger["flop_per_run"] / larger["hours_per_run"] / 3600 / 1e12, rel=5e-3)


def test_hours_are_of_the_device_with_most_of_them(tmp_path):
    path = earlier(
        tmp_path,
        lambda run: 1.0 if run.seed == 1 else 3.0,
        lambda run: "cpu" if run.seed == 1 else made_up_paper.H100,
    )
    study = made_up_paper.study(DIGITS)
    assert frame(study, Measured(path))["hours_per_run"].tolist() == pytest.approx([3.0, 3.0])
    text = plan(study, measured=path)
    assert f"with {made_up_paper.H100}" in text
    assert "GPU-hours" in text
    alone = plan(study, measured=earlier(tmp_path / "cpu", lambda run: 1.0))
    assert "GPU" not in alone
    assert "device-hours" in alone


def test_without_a_speed_the_hours_say_what_to_give():
    study = made_up_paper.study(DIGITS)
    text = plan(study)
    assert "give --tflops or --measured" in text
    assert frame(study, None)["hours"].isna().all()
    assert "nan" not in text
    assert re.search(r"^total +4 +all: \S+ +not known", text, flags=re.MULTILINE)


def test_what_is_printed_adds_up():
    study = made_up_paper.study(made_up_paper.LARGE, made_up_paper.WIDE)
    found = frame(study, Sustained(100.0))
    text = plan(study, tflops=100.0)
    lines = [line for line in text.splitlines() if re.match(r"CIFAR-10|ImageNet32", line)]
    assert len(lines) == len(found) == 3
    for line, row in zip(lines, found.to_dict("records"), strict=True):
        for word in (row["model"], f"{row['parameters']:,}", f"{row['flop_per_run']:.2e}", f"{row['hours']:.3g}"):
            assert word in line.split()
    total = next(line for line in text.splitlines() if line.startswith("total")).split()
    assert int(total[1]) == 8
    assert float(total[-1].replace(",", "")) == pytest.approx(found["hours"].sum(), rel=5e-3)
    assert "100 TFLOP/s" in text


def test_weights_of_others_train_nothing():
    weights = {"format": "authors", "path": str(PARITY / "vdmv_12000.gz"), "config": str(PARITY / "vdmv.json")}
    theirs = {"dataset": "cifar10", "models": ["theirs"], "seeds": [1], "weights": weights}
    text = plan(made_up_paper.study(theirs, DIGITS), tflops=1.0)
    assert "theirs" not in text
    assert "With weights that were trained elsewhere, so without cost: 1 more." in text
    assert "nothing is trained here" in plan(made_up_paper.study(theirs))


def once(study, model, dataset="digits"):
    """FLOP of a pass of the denoiser and of the encoder, on one image."""
    run = next(run for run in study.all_runs if run[:2] == (dataset, model))
    return flops(study.shape(run), study.spec(dataset))


def test_what_is_beside_training_by_hand():
    group = {**DIGITS, "models": ["VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1"], "seeds": [1, 2, 3]}
    more = {
        "evaluation": {"passes": 7, "images": 100},
        "samples": {"count": 16, "steps": 250},
        "inspection": {"images": 1000},  # of which there are 300
        "depth": {"depths": [10, 20], "images": 50, "passes": 4},
    }
    study = made_up_paper.study(group, tables=["components", "encoder", "depth"], figures=["samples"], **more)
    vdm, still, moving = (once(study, model) for model in group["models"])
    models, seeds = (vdm, still, moving), 3
    assert (vdm.encoder, still.encoder) == (0, 0)
    assert beside(study) == {
        "to evaluate": seeds * 7 * 100 * sum(cost.denoiser + 4 * cost.encoder - 3 * cost.stem for cost in models),
        "to draw samples": 16 * 250 * sum(cost.denoiser for cost in models),  # of the first seed
        "to draw samples for FID": 0,
        "to inspect encoders": seeds
        * 300
        * (51 * (still.denoiser + moving.denoiser) + 56 * (3 * moving.encoder - moving.stem)),
        "for bounds of finite depth": seeds
        * 4
        * 50
        * sum(3 * cost.denoiser + 8 * cost.encoder - 5 * cost.stem for cost in models),
        "to measure noise levels": 0,
        "to measure processes": 0,
        "to compress and decompress": 0,
        "for likelihoods by the ODE": 0,
    }
    said = plan(study)
    assert "FLOP to inspect encoders; " in said
    assert "for FID" not in said.replace("Inception for FID", "")


@pytest.mark.parametrize(
    ("tables", "figures", "makes"),
    [
        (["components"], [], {"to evaluate"}),
        ([], ["sample_page"], {"to evaluate", "to draw samples"}),
        ([], ["spectra", "curves"], {"to evaluate", "to inspect encoders"}),
        ([], ["counterterm"], {"to evaluate", "to inspect encoders"}),
        (["endpoints"], ["depth"], {"to evaluate", "for bounds of finite depth"}),
        (["schedules"], [], {"to evaluate", "to measure noise levels"}),
        (["compression"], [], {"to evaluate", "to compress and decompress"}),
        ([], ["likelihood"], {"to evaluate", "for likelihoods by the ODE"}),
    ],
)
def test_only_what_is_shown_is_counted(tables, figures, makes):
    study = made_up_paper.study(DIGITS, tables=tables, figures=figures)
    assert {what for what, flop in beside(study).items() if flop} == makes


def test_fid_is_of_its_models_with_its_schedule():
    learned = {**DIGITS, "schedule": "learned"}
    fid = {"dataset": "digits", "models": ["VDMv-2"], "counts": [30, 500], "steps": 40}
    study = made_up_paper.study(DIGITS, learned, tables=["fid"], figures=[], fid=fid)
    assert beside(study)["to draw samples for FID"] == 2 * 500 * 40 * once(study, "VDMv-2").denoiser
    absent = made_up_paper.study(DIGITS, tables=["fid"], figures=[], fid=fid | {"weights": "absent"})
    assert beside(absent)["to draw samples for FID"] == 0


def test_a_file_that_cannot_tell(tmp_path):
    path = earlier(tmp_path, lambda run: 1.0)
    moved = tmp_path / RUNS
    moved.write_text(path.read_text())
    study = made_up_paper.study(DIGITS)
    with pytest.raises(UserError, match=r"the batch size is in .*evaluation\.json, which is missing"):
        plan(study, measured=moved)
    with pytest.raises(UserError, match="no run that was trained there"):
        plan(study, measured=earlier(tmp_path / "none", lambda run: 0.0))
    with pytest.raises(UserError, match="cannot be read"):
        plan(study, measured=tmp_path / "no.csv")


def test_from_the_command_line(capsys):
    main(["plan", str(ROOT / "config" / "demo.yaml"), "--tflops", "0.05"])
    assert re.search(r"^total +9 ", capsys.readouterr().out, flags=re.MULTILINE)
