import json
import tempfile
from pathlib import Path

import made_up
import made_up_paper
import pytest

from diffenc.io.errors import UserError
from diffenc.reporting.tables import formatting
from diffenc.reporting.tables.cost import cost
from diffenc.results.tests import compare
from diffenc.statistics.welch import summarise
from diffenc.study.study import run_folder

# two 3 x 3 convolutions, 3 -> 64 -> 64, of 32 x 32 pixels
STEM = 2 * 9 * (3 + 64) * 64 * 32**2 / 1e9
PARITY = Path(__file__).parents[1] / "parity"


def made(*groups, use=lambda run: {}, **measured):
    """The table; use(run): what its cost.json has beside what any has."""
    study = made_up_paper.study(*groups)
    runs = made_up_paper.runs(study, lambda run: 2.6, **measured)
    with tempfile.TemporaryDirectory() as folder:
        for run in study.training:
            path = run_folder(Path(folder), run) / "cost.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(made_up.COSTS | use(run)))
        return cost(study, runs, compare(study, runs), Path(folder))


def read(sheet):
    """{model: {header: cell}}."""
    return {row["model"]: {c.header: c.cell(row) for c in sheet.columns} for row in sheet.frame.to_dict("records")}


def test_numbers_by_hand():
    sheet = made({**made_up_paper.SMALL, "training": {"steps": 5000, "batch": 64}})
    values = sheet.frame.set_index("model").loc["DiffEnc-8-2"]
    assert values["parameters"] == 10_811_462
    hours = [3.0, 4.0, 5.0]
    speed = summarise([5000 * 64 / (3600 * h) for h in hours])
    assert values["images_per_s"] == pytest.approx(speed.mean)
    assert values["images_per_s_se"] == pytest.approx(speed.se)
    assert (values["device_hours"], values["all_hours"], values["peak_gib"]) == (4.0, 12.0, 13.0)
    passes = 3 * values["denoiser_gflop"] + 12 * values["encoder_gflop"] - 9 * STEM
    assert values["training_gflop"] == pytest.approx(passes)
    row = read(sheet)["DiffEnc-8-2"]
    assert row["forward GFLOP"] == "15.5 + 0.874"
    assert row["device-hours"] == "4.00 ± 0.58"
    assert row["in all"] == "12.0"
    assert row["device"] == made_up_paper.H100


def test_the_encoders_overhead_is_over_the_model_with_the_same_denoiser():
    twice = made(
        made_up_paper.LARGE, made_up_paper.SMALL, hours=lambda run: 4.0 if run.model == "DiffEnc-8-2" else 2.0
    )
    frame = twice.frame.set_index("model")
    assert frame["over"].to_dict() == {
        **{"VDMv-32": "is a plain model", "DiffEnc-32-4": "VDMv-32"},
        **{"VDMv-8": "is a plain model", "DiffEnc-8-2": "VDMv-8", "DiffEnc-8-nt": "VDMv-8"},
    }
    # parameters 10,811,462 and 8,905,219; FLOPs 3 x 15.514 and that + 12 x 0.8737 - 9 x 0.0790
    assert frame["parameters_overhead"]["DiffEnc-8-2"] == pytest.approx(10_811_462 / 8_905_219 - 1)
    more = (4 * 0.873693696 - 3 * STEM) / 15.514207232
    assert frame["training_gflop_overhead"]["DiffEnc-8-2"] == pytest.approx(more)
    assert frame["seconds_per_image_overhead"]["DiffEnc-8-2"] == pytest.approx(1.0)
    rows = read(twice)
    assert rows["DiffEnc-8-2"]["encoder's overhead"] == (
        "+21.4 % parameters; +21.0 % FLOPs; +100.0 % time an image (over VDMv-8)"
    )
    assert rows["DiffEnc-8-nt"]["encoder's overhead"].startswith("+0.0 % parameters; +0.0 % FLOPs; +0.0 % time")
    assert rows["VDMv-8"]["encoder's overhead"] == "is a plain model"


def test_no_plain_model_beside_it():
    rows = read(made(made_up_paper.WIDE))
    assert rows["DiffEnc-32-8"]["encoder's overhead"] == "no plain model beside it"
    # another schedule's or another data set's is none
    plain = {"dataset": "cifar10", "models": ["VDMv-32"], "seeds": [1], "schedule": "learned"}
    group = {"dataset": "cifar10", "models": ["DiffEnc-32-4"], "seeds": [1]}
    assert read(made(plain, group))["DiffEnc-32-4"]["encoder's overhead"] == "no plain model beside it"


def test_models_on_unlike_devices_are_not_timed_against_each_other():
    sheet = made(made_up_paper.LARGE, device=lambda run: "cpu" if run.model == "VDMv-32" else made_up_paper.H100)
    rows = read(sheet)
    assert rows["DiffEnc-32-4"]["encoder's overhead"].endswith(
        "time an image: not on one device, or too short (over VDMv-32)"
    )
    assert rows["VDMv-32"]["device"] == "cpu"
    assert not any("GPU" in text for text in [*rows["VDMv-32"], *rows["VDMv-32"].values(), *sheet.notes])
    assert any(note.startswith("Device cpu") for note in sheet.notes)
    mixed = made(made_up_paper.LARGE, device=lambda run: "cpu" if run.seed == 1 else made_up_paper.H100)
    assert read(mixed)["VDMv-32"]["device"] == f"cpu and {made_up_paper.H100}"
    assert "not on one device" in read(mixed)["DiffEnc-32-4"]["encoder's overhead"]


def theirs(name, file):
    weights = {
        "format": "authors",
        "path": str(PARITY / f"{file}_12000.gz"),
        "config": str(PARITY / f"{file}.json"),
    }
    return {"dataset": "cifar10", "models": [name], "seeds": [1], "weights": weights}


def test_what_was_not_trained_here_says_so(tmp_path):
    sheet = made(theirs("VDMv", "vdmv"), theirs("NT", "nt"), made_up_paper.LARGE)
    rows = read(sheet)
    missing = ("images/s", "peak GiB", "device-hours", "in all", "device")
    assert {rows["NT"][header] for header in missing} == {"not trained here"}
    assert rows["NT"]["encoder's overhead"].endswith("time an image: not trained here (over VDMv)")
    assert "not trained here" not in rows["DiffEnc-32-4"].values()
    assert all(cell for row in rows.values() for cell in row.values())
    formatting.write(sheet, tmp_path / "cost", "Cost.")
    assert "not trained here" in (tmp_path / "cost.tex").read_text()


def test_small_numbers_keep_their_digits_and_missing_ones_are_said():
    group = {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1, 2]}
    row = read(made(group, hours=lambda run: 0.0012 * run.seed))["VDMv-2"]
    assert row["device-hours"] == "0.00180 ± 0.00060"
    row = read(made(group, hours=lambda run: 0.0))["VDMv-2"]
    assert row["images/s"] == "n/a ± n/a"
    group["models"].append("DiffEnc-2-1")
    row = read(made(group, hours=lambda run: 0.0))["DiffEnc-2-1"]
    assert row["encoder's overhead"].endswith("time an image: not on one device, or too short (over VDMv-2)")
    study = made_up_paper.study(group)
    runs = made_up_paper.runs(study, lambda run: 2.6)
    with pytest.raises(UserError, match="seed2, term total, is missing"):
        cost(study, runs[runs["seed"] == 1], compare(study, runs), Path("nowhere"))


def used(memory, hours, cpus, memory_given=15.625, hours_given=24.0):
    given = {"memory_gib_given": memory_given, "hours_given": hours_given, "cpus_given": 4.0}
    return {"use": {"memory_gib": memory, "hours": hours, "cpus": cpus} | given}


def test_what_a_job_used_stands_beside_what_it_was_given():
    """Each thing of the seed that used the most of it; runs of a laptop and of earlier versions have none."""

    def use(run):
        if run.model == "VDMv-8":
            return {"use": None} if run.seed == 1 else {}
        found = used(2.0 + run.seed, 8.0 - run.seed, 1.25)
        return used(9.5, 0.5, None, None, None) if run.model == "DiffEnc-8-nt" else found

    sheet = made(made_up_paper.SMALL, theirs("VDMv", "vdmv"), use=use)
    rows, headers = read(sheet), ("host GiB", "hours of a job", "CPUs")
    cells = {model: [row[header] for header in headers] for model, row in rows.items()}
    assert cells == {
        "VDMv-8": ["not recorded"] * 3,
        "DiffEnc-8-2": ["5.00 of 15.6", "7.00 of 24.0", "1.25 of 4.00"],
        "DiffEnc-8-nt": ["9.50 of no limit", "0.500 of no limit", "n/a of 4.00"],
        "VDMv": ["not trained here"] * 3,
    }
    values = sheet.frame.set_index("model").loc["DiffEnc-8-2"]
    assert (values["memory_gib_used"], values["memory_gib_given"], values["hours_used"]) == (5.0, 15.625, 7.0)
    assert any(note.startswith("Of what was given") for note in sheet.notes)


def test_without_jobs_of_slurm_s_the_table_is_as_it_was():
    sheet = made(made_up_paper.SMALL, use=lambda run: {"use": None} if run.seed == 1 else {})
    assert not [name for name in sheet.frame if name.endswith(("_used", "_given"))]
    assert not {"host GiB", "hours of a job", "CPUs"} & {column.header for column in sheet.columns}
    assert not any(note.startswith("Of what was given") for note in sheet.notes)
