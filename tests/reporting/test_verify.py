"""`diffenc verify`: a study that fits, and each thing in it that was changed."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from diffenc.cli.main import main

STUDY = {
    "name": "small",
    "title": "Small",
    "runs": [
        {
            "dataset": "digits",
            "models": ["VDMv-2", "DiffEnc-2-nt"],
            "seeds": [1, 2],
            "training": {"steps": 2, "batch": 4, "precision": "float32"},
        }
    ],
    "comparisons": [{"dataset": "digits", "lower": "DiffEnc-2-nt", "than": "VDMv-2"}],
    "evaluation": {"passes": 1, "images": 20},
    "depth": {"depths": [2], "ratios": [], "images": 4},
    "tables": ["components", "comparisons", "depth"],
    "figures": [],
}
FIRST = "results/small/runs/digits/VDMv-2/fixed/seed1"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The study, made by the commands that the rules call."""
    folder = tmp_path_factory.mktemp("verify")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))
        shutil.copytree(Path(__file__).parents[2] / "config", folder / "config")
        data, study = ["--data", "results/data/digits"], ["--study", "study.yaml"]
        main(["prepare", "digits", "--out", "results/data/digits"])
        for model in ("VDMv-2", "DiffEnc-2-nt"):
            for seed in (1, 2):
                run = f"digits/{model}/fixed/seed{seed}"
                out = f"results/small/runs/{run}"
                main(["train", *study, "--run", run, *data, "--out", out])
                on = ["--model", out, *data]
                main(["evaluate", *on, "--passes", "1", "--images", "20", "--out", f"{out}/evaluation.json"])
                options = ["--depths", "2", "--ratios", "--images", "4"]
                main(["depth", *on, *options, "--out", f"{out}/depth.json"])
        for part, place in (([], "results/small"), (["--dataset", "digits"], "results/small/tables/digits")):
            main(["collect", *study, *part, "--out", f"{place}/runs.csv"])
            main(["compare", *study, *part, "--runs", f"{place}/runs.csv", "--out", f"{place}/tests.csv"])
        place = "results/small/tables/digits"
        for table in STUDY["tables"]:
            csv = ["--runs", f"{place}/runs.csv", "--tests", f"{place}/tests.csv"]
            main(["table", table, *study, "--dataset", "digits", *csv, "--out", f"{place}/{table}"])
        main(["page", *study, "--out", "results/small/index.html"])
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    folder = shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(folder)
    return folder


def test_a_study_that_fits(place, capsys):
    main(["verify", "results/small"])
    assert capsys.readouterr().out == "results/small: weights, data, results, tables and page fit\n"


def flip(path):
    content = bytearray(path.read_bytes())
    where = len(content) // 2
    while chr(content[where]) in " \n":
        where += 1
    content[where] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (f"{FIRST}/model.safetensors", "model.safetensors: was changed: its sha256 is"),
        (f"{FIRST}/config.yaml", "config.yaml: is not as it was written with model.safetensors"),
        (f"{FIRST}/history.jsonl", "history.jsonl: was changed since the run was trained; copy"),
        ("results/data/digits/test.npy", "test.npy: was changed: its sha256 is"),
        ("results/data/digits/train.npy", "train.npy: was changed: its sha256 is"),
        (f"{FIRST}/evaluation.json", "evaluation.json: "),
        (f"{FIRST}/evaluation.npz", "evaluation.npz: is damaged"),
        (f"{FIRST}/depth.json", "depth.json: "),
        ("results/small/runs.csv", "runs.csv: is not what the runs say; make it with"),
        ("results/small/tests.csv", "tests.csv: is not what the runs say; make it with"),
        ("results/small/tables/digits/components.csv", "components.csv: is not what the runs say"),
        ("results/small/tables/digits/depth.html", "depth.html: is not what the runs say"),
        ("results/small/index.html", "index.html: was changed; make it with"),
    ],
)
def test_a_flipped_byte_is_found_and_named(place, capsys, file, said):
    flip(place / file)
    with pytest.raises(SystemExit) as ended:
        main(["verify", "results/small"])
    assert ended.value.code == 2
    found = capsys.readouterr()
    assert any(said in line and line.startswith(file) for line in found.out.splitlines()), found.out
    assert found.err.startswith("diffenc: error: results/small: ")
    assert found.err.count("\n") == 1


def test_a_number_of_another_study_is_found(place, capsys):
    """Whole files, each fit in itself, that do not belong here."""
    shutil.copy(place / FIRST.replace("seed1", "seed2") / "model.safetensors", place / FIRST)
    shutil.copy(place / FIRST.replace("seed1", "seed2") / "depth.json", place / FIRST)
    with pytest.raises(SystemExit):
        main(["verify", "results/small"])
    said = capsys.readouterr().out
    assert f"{FIRST}/config.yaml: is not as it was written with model.safetensors" in said
    assert f"{FIRST}/evaluation.json: was made from weights of sha256" in said


def complaints(capsys):
    """What `verify` prints of a study that does not fit."""
    with pytest.raises(SystemExit):
        main(["verify", "results/small"])
    return capsys.readouterr().out.splitlines()


def test_a_copy_that_has_other_times_fits(place, capsys):
    """As `cp -r` gives it: results older than their weights, the page older than its tables, every checksum right."""
    for i, path in enumerate(sorted(path for path in place.rglob("*") if path.is_file())):
        os.utime(path, (1e9 + 60 * i, 1e9 + 60 * i))
    assert (place / FIRST / "evaluation.json").stat().st_mtime < (place / FIRST / "model.safetensors").stat().st_mtime
    main(["verify", "results/small"])
    assert capsys.readouterr().out.endswith("fit\n")


def test_a_result_without_checksums_that_is_older_than_its_weights(place, capsys):
    """As an earlier version wrote it; its neighbour, which says what it was made from, may be as old."""
    path = place / FIRST / "evaluation.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in content.items() if key not in ("made_from", "sha256")}))
    for name in ("evaluation.json", "depth.json"):
        os.utime(place / FIRST / name, (1e9, 1e9))
    (found,) = complaints(capsys)
    assert found.startswith(f"{FIRST}/evaluation.json: is older than {FIRST}/model.safetensors; make it with")


def test_what_is_missing_and_a_page_of_other_numbers(place, capsys):
    """The page's own checksum is whole: what is in it tells that the files were made again since."""
    (place / "results/small/tables/digits/depth.tex").unlink()
    changed = [f"results/small/{name}" for name in ("runs.csv", "tests.csv", "tables/digits/components.csv")]
    for file in changed:
        with (place / file).open("a") as csv:
            csv.write("\n")
    said = complaints(capsys)
    assert any("depth.tex: is missing; make it" in line for line in said)
    of_the_page = [line.partition("; ")[0] for line in said if line.startswith("results/small/index.html")]
    assert of_the_page == [f"results/small/index.html: was made from another {file}" for file in changed]


def test_without_the_studys_file(place, capsys):
    (place / "results/small/study.yaml").unlink()
    with pytest.raises(SystemExit):
        main(["verify", "results/small"])
    assert "results/small/study.yaml: is missing; make the study's page, which writes it" in capsys.readouterr().err


def test_what_does_not_fit_is_not_published(place, capsys):
    """One line, and nothing is written; nor into a folder that is there."""
    for out, said in ((".", "--out: . is there; name a new folder"), ("release", "results/small: is not whole")):
        flip(place / FIRST / "model.safetensors")
        with pytest.raises(SystemExit) as ended:
            main(["publish", "results/small", "--out", out])
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith(f"diffenc: error: {said}")
        assert error.count("\n") == 1
        assert not list(place.glob("*release*"))
        flip(place / FIRST / "model.safetensors")
    (place / "results/small/index.html").unlink()
    with pytest.raises(SystemExit):
        main(["publish", "results/small", "--out", "release"])
    assert "not published: results/small/index.html: is missing; make it with" in capsys.readouterr().err
    assert not (place / "release").exists()
