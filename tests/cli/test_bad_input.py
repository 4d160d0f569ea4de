"""What a user gets wrong, through the command line: one line on stderr, status 2, and no file written or changed."""

import gzip
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import COSTS, evaluation

from diffenc.cli import fork_server
from diffenc.cli.main import main
from diffenc.io.files import LOCK
from diffenc.study.load import load_study
from diffenc.study.study import run_folder, study_folder
from diffenc.training import trainer

PARITY = Path(__file__).parents[1] / "parity"
STUDY = """\
name: small
title: A small study
runs:
  - dataset: digits
    models: [VDMv-2, DiffEnc-2-1]
    seeds: [1, 2]
    training: {steps: 4, batch: 4, learning_rate: 0.002, log_every: 2}
comparisons:
  - {dataset: digits, lower: DiffEnc-2-1, than: VDMv-2}
evaluation: {passes: 2}
"""
DATA = "results/data/digits"
TRAIN = ["train", "--study", "study.yaml", "--run", "digits/VDMv-2/fixed/seed1", "--data", DATA, "--out"]
EVALUATE = ["evaluate", "--model", "trained", "--data", DATA, "--out", "new/evaluation.json"]
SAMPLE = ["sample", "--model", "trained", "--data", DATA, "--out", "new/samples.npz"]
ENCODE = ["encode", "--model", "trained", "--data", DATA, "--out", "new/encodings.npz"]
TRAIN_NEW = [*TRAIN, "new"]
COMPUTING = [TRAIN_NEW, EVALUATE, SAMPLE, ENCODE]
OFFICIAL = ["evaluate", "--data", DATA, "--out", "new/evaluation.json", "--official"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a study, prepared digits, a trained run and one that was interrupted after its checkpoint."""
    folder = tmp_path_factory.mktemp("made")
    whole = trainer.Batches.__call__

    def interrupted(batches, step):
        if step == 3:
            raise KeyboardInterrupt
        return whole(batches, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("study.yaml").write_text(STUDY)
        main(["prepare", "digits", "--out", DATA])
        main([*TRAIN, "trained"])
        patch.setattr(trainer.Batches, "__call__", interrupted)
        with pytest.raises(SystemExit) as left:
            main([*TRAIN, "interrupted", "--checkpoint-steps", "2"])
    assert left.value.code == 130
    return folder


@pytest.fixture(autouse=True)
def place(made, tmp_path, monkeypatch):
    """A copy of that folder, to be in and to damage."""
    folder = shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(folder)
    yield
    shutil.rmtree(folder)


@pytest.fixture
def refused(capsys):
    """refused(arguments): what the command says when it refuses them."""

    def refused(arguments):
        before = files()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        error = capsys.readouterr().err
        assert left.value.code == 2
        assert error.startswith("diffenc: error: ")
        assert error.count("\n") == 1
        assert error.endswith("\n")
        assert files() == before
        return error

    return refused


def files():
    """Every file below here, with what would tell that it was written."""
    found = [path for path in Path().rglob("*") if path.is_file() and path.name != LOCK]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@pytest.mark.parametrize("words", [["plan", "a\nb", "c\nd"], ["evaluate", "--protocol", "a\nb"], ["plan", "a\nb"]])
def test_a_line_end_in_what_was_given(refused, words):
    refused(words)


def test_a_line_end_in_a_key(refused):
    Path("study.yaml").write_text('"\\n": 1\n' + STUDY)
    assert "unknown key" in refused(TRAIN_NEW)


def test_as_a_command_of_its_own():
    command = [sys.executable, "-m", "diffenc", *TRAIN_NEW, "--study", "none.yaml"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        "diffenc: error: none.yaml: cannot be read (No such file or directory); name a study file, for example"
        " config/demo.yaml\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("passes", "pases", "evaluation.pases: unknown key; remove it or correct its spelling (value: 2)"),
        ("title", "titel", "titel: unknown key"),
        ("log_every", "log", "runs[0].training.log: unknown key"),
        ("name: small", "name: data", "name: results/data holds the prepared data sets; name the study otherwise"),
        ("evaluation: {passes: 2}", "evaluation: {images: 301}", "evaluation.images: 301 asked for, digits has 300"),
        (
            "evaluation: {passes: 2}",
            "evaluation: {images: 9, protocol: authors}",
            "evaluation.images: protocol authors drops the last partial batch of 128, and leaves none of 9",
        ),
        ("lower: DiffEnc-2-1", "lower: VDMv-2", "comparisons[0]: compares VDMv-2 with itself; name two models"),
        ("evaluation:", "tables: [seeds, seeds]\nevaluation:", "tables: seeds is given twice; name each once"),
        (
            "comparisons:\n",
            "  - {dataset: digits, models: [VDMv-2], seeds: [3], training: {steps: 5}}\ncomparisons:\n",
            "runs: digits/VDMv-2/fixed/seed3 is trained otherwise than digits/VDMv-2/fixed/seed1; seeds share one",
        ),
        ("title: A small study\n", "", "title: is missing; add it"),
        (
            "0.002",
            "'2e-4'",
            "runs[0].training.learning_rate: '2e-4' is text, not a number; write its digits, without quotes",
        ),
        ("0.002", "-0.1", "runs[0].training.learning_rate: Input should be greater than 0; found -0.1"),
        ("0.002", ".inf", "runs[0].training.learning_rate: Input should be a finite number; found inf"),
        ("steps: 4", "steps: 1e3", "runs[0].training.steps: Input should be a valid integer; found 1000.0"),
        (
            "[1, 2]",
            "[1, yes]",
            "runs[0].seeds[1]: 'yes' is text, not a whole number; write its digits, without quotes",
        ),
        ("[1, 2]", "[1, -2]", "runs[0].seeds[1]: Input should be greater than or equal to 0; found -2"),
        ("[1, 2]", "[1, 9223372036854775808]", "runs[0].seeds[1]: Input should be less than 9223372036854775808"),
        ("[1, 2]", "1", "runs[0].seeds: Input should be a valid list; found 1"),
        ("[1, 2]", "[2, 1, 2]", "runs: digits/VDMv-2/fixed/seed2 is given twice; name each once"),
        ("[1, 2]", "[1]", "comparisons[0]: digits/DiffEnc-2-1/fixed has 1 seed(s) in `runs`; a test across"),
        ("steps: 4", "batch: 8, steps: 4", 'is not valid YAML: line 7: found duplicate key "batch"'),
        ("VDMv-2,", "VDMv-3,", "runs[0]: unknown model 'VDMv-3'; known: VDM-8, VDMv-8, DiffEnc-8-nt"),
        ("dataset: digits\n", "dataset: cifar\n", "runs[0]: unknown data set 'cifar'; known: digits, mnist"),
        ("than: VDMv-2", "than: VDMv-8", "comparisons[0]: digits/VDMv-8/fixed has 0 seed(s) in `runs`"),
        ("name: small", "name: my study", "name: String should match pattern '^[A-Za-z0-9_-]+$'; found 'my study'"),
        ("[1, 2]", "[1, 2", "is not valid YAML: line 7: expected"),
        (STUDY, "", "a study is a mapping of keys (name, title, runs, ...), this is not"),
    ],
)
def test_study(refused, old, new, message):
    assert STUDY.count(old)
    Path("study.yaml").write_text(STUDY.replace(old, new, 1))
    assert f"error: study.yaml: {message}" in refused(TRAIN_NEW)


def test_study_that_is_not_text(refused):
    Path("study.yaml").write_bytes(b"\xff\xfe")
    assert "study.yaml: is not valid YAML: 'utf-8' codec can't decode" in refused(TRAIN_NEW)


def test_missing_original_files_without_network(refused, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    error = refused(["prepare", "cifar10", "--files", "empty", "--out", "results/data/cifar10"])
    assert "error: empty/cifar10/cifar-10-python.tar.gz: is missing and cannot be downloaded" in error
    assert error.endswith("data_batch_5, test_batch, into empty/cifar10\n")


def test_original_file_with_a_wrong_checksum(refused):
    Path("files").mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        Path("files", name).write_bytes(b"not what was published")
    error = refused(["prepare", "cifar10", "--files", "files", "--out", "results/data/cifar10"])
    assert "error: files/test_batch: wrong checksum (md5 " in error
    assert error.endswith("; fetch the original file again\n")


def test_older_imagenet32(refused):
    Path("files").mkdir()
    for name, count in {"val_data": 49_999, **{f"train_data_batch_{i}": 1 for i in range(1, 11)}}.items():
        batch = {"data": np.zeros((count, 3072), np.uint8), "labels": [1] * count}
        Path("files", name).write_bytes(pickle.dumps(batch, 3))
    error = refused(["prepare", "imagenet32", "--files", "files", "--out", "results/data/imagenet32"])
    assert "error: files/val_data: 49,999 test images, must be 50,000; this is the older release" in error
    assert "name the data set imagenet32_old in the study, or download the newer one" in error


def test_data_not_prepared(refused):
    shutil.rmtree(DATA)
    error = refused(TRAIN_NEW)
    assert f"error: {DATA}/manifest.json: cannot be read" in error
    assert f"run `diffenc prepare digits --out {DATA}`" in error


def test_prepared_file_cut_short(refused):
    os.truncate(f"{DATA}/train.npy", 5000)
    assert f"error: {DATA}/train.npy: is damaged or cut short; run `diffenc prepare digits" in refused(
        [*TRAIN, "new"]
    )


@pytest.mark.parametrize("command", COMPUTING)
def test_data_of_another_set(refused, command):
    path = Path(DATA, "manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": "mnist"}))
    error = refused(command)
    assert f"error: --data {DATA}: holds mnist, the run is on digits; name the folder of digits\n" in error


def test_run_that_the_study_has_not(refused):
    error = refused([*TRAIN_NEW, "--run", "digits/VDMv-2/fixed/seed3"])
    assert "error: small: has no run 'digits/VDMv-2/fixed/seed3'; its first is digits/VDMv-2/fixed/seed1\n" in error


@pytest.mark.parametrize("keep", [0, 1000, -1])
def test_checkpoint_cut_short(refused, keep):
    path = Path("interrupted/checkpoint-2.safetensors")
    os.truncate(path, keep if keep >= 0 else path.stat().st_size + keep)
    error = refused([*TRAIN, "interrupted"])
    assert f"error: {path}: is damaged or truncated" in error
    assert error.endswith("delete interrupted to train this run from the start\n")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.002", "0.01", "training.learning_rate was 0.002 and is now 0.01"),
        ("steps: 4", "steps: 8", "training.steps was 4 and is now 8"),
        ("seeds: [1, 2]", "schedule: learned\n    seeds: [1, 2]", "schedule was 'fixed' and is now 'learned'"),
    ],
)
def test_checkpoint_of_another_configuration(refused, old, new, message):
    Path("study.yaml").write_text(STUDY.split("comparisons")[0].replace(old, new))
    schedule = "learned" if "learned" in new else "fixed"
    command = [part.replace("fixed", schedule) for part in TRAIN]
    error = refused([*command, "interrupted"])
    assert f"error: interrupted/checkpoint-2.safetensors: belongs to another configuration: {message}; " in error
    assert error.endswith("delete interrupted to train this run from the start\n")


def test_training_over_a_model_cut_short(refused):
    os.truncate("trained/model.safetensors", 1000)
    error = refused([*TRAIN, "trained"])
    assert "error: trained/model.safetensors: is damaged or truncated" in error
    assert error.endswith("; delete trained to train this run again\n")


@pytest.mark.parametrize("command", [EVALUATE, SAMPLE, ENCODE])
def test_model_cut_short(refused, command):
    os.truncate("trained/model.safetensors", 1000)
    error = refused(command)
    assert "error: trained/model.safetensors: is damaged or truncated" in error
    assert "train the run first" in error


def test_model_that_is_another_than_its_config_says(refused):
    path = Path("trained/config.yaml")
    path.write_text(path.read_text().replace("layers: 2", "layers: 3"))
    error = refused(EVALUATE)
    assert "error: trained/config.yaml: is not as it was written with model.safetensors: its sha256 is" in error
    assert "restore it" in error


def test_a_configuration_with_a_key_that_is_none(refused):
    path = Path("trained/config.yaml")
    path.write_text(path.read_text() + "?")
    assert "trained/config.yaml: is damaged" in refused(EVALUATE)


def test_model_that_is_not_there(refused):
    error = refused([*EVALUATE, "--model", "none"])
    assert "error: none/config.yaml: cannot be read" in error
    assert "train the run first" in error


@pytest.mark.parametrize("zipped", [True, False])
def test_official_checkpoint_cut_short(refused, zipped):
    content = (PARITY / "vdmv_12000.gz").read_bytes()
    Path("cut").write_bytes((content if zipped else gzip.decompress(content))[:100_000])
    error = refused([*OFFICIAL, "cut", "--config", PARITY / "vdmv.json"])
    assert "error: cut: is damaged or not a flax checkpoint" in error
    assert error.endswith("; fetch it again\n")


def test_official_checkpoint_with_the_config_of_another_model(refused):
    checkpoint, config = PARITY / "vdmv_12000.gz", PARITY / "trainable_mult_res.json"
    error = refused([*OFFICIAL, checkpoint, "--config", config])
    assert f"error: {checkpoint}: is not a checkpoint of {config} (they disagree on encoder." in error
    assert error.endswith("; name its own config\n")


def test_official_checkpoint_without_a_config(refused):
    checkpoint = PARITY / "vdmv_12000.gz"
    assert f"error: --official {checkpoint}: needs --config" in refused([*OFFICIAL, checkpoint])


def test_official_checkpoint_on_images_of_another_kind(refused):
    error = refused([*OFFICIAL, PARITY / "vdmv_12000.gz", "--config", PARITY / "vdmv.json"])
    assert "vdmv_12000.gz: models 3 channel(s) of 256 levels, Digits has 1 of 17; name the data" in error


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        (EVALUATE, "--passes 0", "--passes: Input should be greater than or equal to 1; found 0"),
        (EVALUATE, "--images 301", f"--images: 301 asked for, {DATA} has 300; ask for fewer"),
        (EVALUATE, "--images 0", "--images: Input should be greater than 0; found 0"),
        (EVALUATE, "--batch 0", "argument --batch: '0' is not a whole number above 0; see `diffenc evaluate --help`"),
        (EVALUATE, "--protocol authors --images 127", "--protocol authors: drops the last partial batch of 128, and"),
        (EVALUATE, "--protocol author", "argument --protocol: invalid choice: 'author'"),
        (SAMPLE, "--count 0", "--count: Input should be greater than 0; found 0"),
        (SAMPLE, "--steps 0", "--steps: Input should be greater than 0; found 0"),
        (SAMPLE, "--seed -1", "--seed: Input should be greater than or equal to 0; found -1"),
        (ENCODE, "--threads -1", "argument --threads: '-1' is not a whole number above 0"),
        (TRAIN_NEW, "--checkpoint-steps two", "argument --checkpoint-steps: 'two' is not a whole number above 0"),
        (TRAIN_NEW, "--fast", "unrecognized arguments: --fast; see `diffenc --help`"),
        (["prepare", "cifar", "--out", "new"], "", "unknown data set 'cifar'; known: digits, mnist"),
    ],
)
def test_options(refused, command, options, message):
    assert f"error: {message}" in refused([*command, *options.split()])


@pytest.mark.parametrize("command", COMPUTING)
def test_gpu_that_is_not_there(refused, monkeypatch, command):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "error: --device cuda: torch sees no GPU here; use --device cpu" in refused([*command, "--device", "cuda"])


@pytest.mark.parametrize("command", COMPUTING)
def test_output_folder_that_is_a_file(refused, command):
    Path("new").write_text("a file")
    assert "error: --out: new cannot be written to (" in refused(command)


def test_damaged_evaluation(refused):
    study = load_study("study.yaml")
    for run, training in study.training.items():
        path = run_folder(study_folder(study), run) / "evaluation.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(evaluation(run, passes=2, steps=4, training=training.results())))
        path.with_name("cost.json").write_text(json.dumps(COSTS))
    main(collect := ["collect", "--study", "study.yaml", "--out", "results/small/runs.csv"])
    text = path.read_text()
    for damaged, message in {
        text[:-100]: "is damaged, not JSON",
        text.replace('"total"', '"sum"'): "is damaged, bpd.total: is missing",
        text.replace('"passes": 2', '"passes": 3'): "is of another run: passes is 3, the study says 2",
    }.items():
        path.write_text(damaged)
        error = refused(collect)
        assert f"error: {path}: {message}" in error
        assert error.endswith(f"make it with `snakemake --force {path} --cores 1`, and the study's --configfile\n")


@pytest.mark.parametrize("onto", ["model.safetensors", "config.yaml", "history.jsonl"])
def test_an_output_onto_what_is_read(refused, onto):
    error = refused([*EVALUATE[:-1], f"trained/{onto}"])
    assert f"--out: trained/{onto} is trained/{onto}, which the command reads; name another file" in error


def test_per_image_terms_onto_the_data(refused):
    Path("link.json").touch()
    os.link(f"{DATA}/test.npy", "link.npz")
    assert "link.npz is" in refused([*EVALUATE[:-1], "link.json"])


def test_an_output_onto_a_pipe(refused):
    os.mkfifo("pipe")
    assert "pipe: is there and is no regular file; name another place" in refused([*EVALUATE[:-1], "pipe"])


def test_changed_weights_are_found_by_every_reader(refused):
    path = Path("trained/model.safetensors")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    for command in (EVALUATE, SAMPLE, ENCODE, [*TRAIN, "trained"]):
        assert "trained/model.safetensors: is damaged: its content's sha256 is" in refused(command)


def test_changed_data_are_found_by_every_reader(refused):
    path = Path(DATA, "test.npy")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    for command in (EVALUATE, ENCODE):
        assert f"{DATA}/test.npy: was changed: its sha256 is" in refused(command)


def test_weights_that_are_not_finite(refused):
    from diffenc.io.tensors import load_tensors, save_tensors

    tensors, text = load_tensors(Path("trained/model.safetensors"))
    name = next(name for name in tensors if name.startswith("ema/"))
    tensors[name].view(-1)[0] = float("nan")
    save_tensors(Path("trained/model.safetensors"), tensors, text)
    assert f"trained/model.safetensors: {name} has values that are not finite" in refused(EVALUATE)


@pytest.mark.parametrize("name", ["checkpoint-2 (copy).safetensors", "checkpoint-2.backup.safetensors"])
def test_copies_of_checkpoints_are_nobodys(name):
    shutil.copy("interrupted/checkpoint-2.safetensors", Path("interrupted", name))
    main([*TRAIN, "interrupted"])
    assert Path("interrupted", name).exists()


def test_a_folder_in_the_place_of_a_checkpoint(refused):
    Path("interrupted/checkpoint-99.safetensors").mkdir()
    assert "interrupted/checkpoint-99.safetensors: is no file; take it away" in refused([*TRAIN, "interrupted"])


def test_a_pipe_in_the_place_of_data(refused):
    Path(DATA, "test.npy").unlink()
    os.mkfifo(f"{DATA}/test.npy")
    assert f"{DATA}/test.npy: is no regular file" in refused(EVALUATE)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: small", f"name: {'x' * 300}", "name: String should have at most 100 characters"),
        (
            "batch: 4",
            "batch: 1000000000000",
            "runs[0].training.batch: Input should be less than or equal to 1000000000",
        ),
        ("batch: 4", "batch: 20000", "runs[0].training.batch: 20,000, digits has 1,497 images to train on; take"),
        ("steps: 4", "steps: 1180591620717411303424", "runs[0].training.steps: Input should be less than or equal"),
    ],
)
def test_numbers_and_names_that_nobody_means(refused, old, new, message):
    Path("study.yaml").write_text(STUDY.replace(old, new))
    assert message in refused(TRAIN_NEW)


@pytest.mark.parametrize("command", [["plan", "study.yaml"], ["status", "study.yaml"]])
def test_a_reader_that_has_enough(command):
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "diffenc", *command], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_standard_output_that_is_full():
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "diffenc", "plan", "study.yaml"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    assert (
        ended.stderr == "diffenc: error: standard output: cannot be written (No space left on device); free space\n"
    )


def test_a_latin_1_locale():
    Path("study.yaml").write_text(STUDY.replace("A small study", "Zoë → β"), encoding="utf-8")
    mine = {name: value for name, value in os.environ.items() if name != fork_server.ADDRESS}
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "diffenc", "plan", "study.yaml"]
    ended = subprocess.run(command, env=mine | locale, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Zoë ? ?".encode("latin-1") in ended.stdout
