"""Weights that were trained elsewhere, and images of the user's own, as a study takes them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from diffenc import data
from diffenc.cli.main import main
from diffenc.data import custom
from diffenc.data.catalog import DATASETS
from diffenc.data.custom import Arrays
from diffenc.io.errors import UserError
from diffenc.study.load import load_study
from diffenc.training.artifacts import load_model
from diffenc.zoo.configs import model_config
from diffenc.zoo.flax_checkpoint import load_checkpoint

PARITY = Path(__file__).parents[1] / "parity"


def study(folder, name="nt", **changes):
    """A study of one of the authors' checkpoints on the images that they were evaluated on."""
    arrays = {"title": "Parity", **dict.fromkeys(("train", "test", "noise"), str(PARITY / f"{name}.npz"))}
    weights = {"format": "authors", "path": f"{PARITY}/{name}_12000.gz", "config": f"{PARITY}/{name}.json"}
    group = {"dataset": "parity", "models": ["Theirs"], "seeds": [1], "weights": weights}
    path = folder / "theirs.yaml"
    path.write_text(
        yaml.safe_dump(
            {"name": "theirs", "title": "Theirs", "own_data": {"parity": arrays}, "runs": [group | changes]}
        )
    )
    return path


def prepared(folder, path):
    main(["prepare", "parity", "--study", str(path), "--out", str(folder / "data")])
    return folder / "data"


@pytest.mark.parametrize("name", ["vdmv", "vdm_epsilon", "nt", "trainable_mult_res", "trainable_train_scalar"])
def test_an_adopted_run_computes_what_the_checkpoint_does(tmp_path, name):
    schedule = "learned" if name.endswith("scalar") else "fixed"
    path = study(tmp_path, name, schedule=schedule)
    folder = prepared(tmp_path, path)
    arguments = ["--study", str(path), "--run", f"parity/Theirs/{schedule}/seed1", "--data", str(folder)]
    main(["adopt", *arguments, "--out", str(tmp_path / "run")])
    theirs = load_checkpoint(PARITY / f"{name}_12000.gz", PARITY / f"{name}.json")
    theirs = theirs.to(memory_format=torch.channels_last)  # as ours lies in memory: the same kernels, the same bits
    ours, config = load_model(tmp_path / "run")
    assert config["steps"] == 12000
    arrays = np.load(PARITY / f"{name}.npz")
    z, gamma = torch.from_numpy(arrays["z"]).permute(0, 3, 1, 2), torch.from_numpy(arrays["gamma"])
    assert torch.equal(ours.denoise(z, gamma), theirs.denoise(z, gamma))
    assert torch.equal(ours.encode(z, gamma), theirs.encode(z, gamma))
    assert [gamma.item() for gamma in ours.schedule.ends()] == [gamma.item() for gamma in theirs.schedule.ends()]


def test_ones_own_images_come_as_they_are(tmp_path):
    folder = prepared(tmp_path, study(tmp_path))
    images = np.load(PARITY / "nt.npz")["images"]
    assert np.array_equal(data.load(folder, "test"), images.transpose(0, 3, 1, 2))
    data.verify(folder)
    spec = data.spec(folder)
    assert (spec.channels, spec.side, spec.levels, spec.test) == (3, 8, 256, 8)


def test_grey_images_need_no_axis_for_their_channel(tmp_path):
    images = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)
    np.save(tmp_path / "grey.npy", images)
    assert np.array_equal(custom.read(tmp_path / "grey.npy")[:, 0], images)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((4, 8, 8), np.float32), "not an array of images"),
        (np.zeros((4, 8, 9), np.uint8), r"has shape \(4, 8, 9, 1\)"),
        (np.zeros((4, 8, 8, 2), np.uint8), r"has shape \(4, 8, 8, 2\)"),
        (np.zeros((0, 8, 8), np.uint8), "has shape"),
    ],
)
def test_what_is_no_images_is_refused(tmp_path, array, complaint):
    np.save(tmp_path / "images.npy", array)
    with pytest.raises(UserError, match=complaint):
        custom.read(tmp_path / "images.npy")


def test_a_pixel_above_the_levels_is_refused(tmp_path):
    np.save(tmp_path / "images.npy", np.full((4, 8, 8), 17, np.uint8))
    arrays = Arrays(title="Own", train=str(tmp_path / "images.npy"), test=str(tmp_path / "images.npy"), levels=17)
    with pytest.raises(UserError, match=r"has a pixel of 17, own_data\.mine\.levels is 17"):
        data.prepare_own("mine", arrays, tmp_path / "data")
    assert not list((tmp_path / "data").glob("*")) if (tmp_path / "data").exists() else True


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"training": {"steps": 3}}, "training or weights: give one of them"),
        ({"weights": None}, "training or weights: give one of them"),
        ({"models": ["A", "B"]}, "weights: are one model's"),
        ({"seeds": [1, 2]}, "weights.path: is the same for all seeds; put {seed} where they differ"),
        ({"schedule": "learned"}, "has a fixed one; write schedule: fixed"),
        ({"models": ["VDMv-2"]}, "is not a VDMv-2 on Parity"),
        ({"dataset": "mine"}, "unknown data set 'mine'; known: digits, .*, parity"),
        ({"weights": {"format": "authors", "path": "gone.gz", "config": "gone.json"}}, "gone.gz: no such file"),
    ],
)
def test_a_study_that_does_not_fit_is_refused_in_one_line(tmp_path, changes, complaint):
    with pytest.raises(UserError, match=complaint) as error:
        load_study(study(tmp_path, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "like", "layers", "width", "blocks", "dataset"),
    [
        ("VDMv-32", "vdmv", 32, 128, None, "cifar10"),
        ("VDM-8", "vdm_epsilon", 8, 128, None, "cifar10"),
        ("DiffEnc-8-nt", "nt", 8, 128, None, "mnist"),
        ("DiffEnc-32-4", "trainable_mult_res", 32, 128, 4, "cifar10"),
        ("DiffEnc-32-8", "trainable_mult_res", 32, 256, 8, "imagenet32"),
    ],
)
def test_the_papers_names_are_for_the_papers_shapes(tmp_path, name, like, layers, width, blocks, dataset):
    """With the sizes that the authors' own configurations of these models have."""
    config = json.loads((PARITY / f"{like}.json").read_text())
    config["score_model_config"] |= {"n_layer": layers, "n_embd": width}
    if blocks:
        config["encoder_config"]["nn_config"] |= {"n_layer": blocks, "n_embd": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = {"format": "authors", "path": str(PARITY / "nt_12000.gz"), "config": str(tmp_path / "config.json")}
    path = study(tmp_path, models=[name], dataset=dataset, weights=weights)
    (run,) = load_study(path).all_runs
    assert load_study(path).shape(run) == model_config(name, DATASETS[dataset])
    config["score_model_config"]["n_layer"] += 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=f"is not a {name} on"):
        load_study(path)


def test_adopted_runs_are_not_trained_nor_the_others_adopted(tmp_path, capsys):
    path = study(tmp_path)
    folder = prepared(tmp_path, path)
    others = tmp_path / "others.yaml"
    content = yaml.safe_load(path.read_text())
    content["runs"] = [{"dataset": "parity", "models": ["VDMv-2"], "seeds": [1], "training": {"steps": 1}}]
    others.write_text(yaml.safe_dump(content))
    for command, file, run in (("train", path, "Theirs"), ("adopt", others, "VDMv-2")):
        arguments = ["--study", str(file), "--run", f"parity/{run}/fixed/seed1", "--data", str(folder)]
        with pytest.raises(SystemExit):
            main([command, *arguments, "--out", str(tmp_path / "run")])
    said = capsys.readouterr().err.splitlines()
    assert [line.rpartition("; use ")[2] for line in said] == ["`diffenc adopt`", "`diffenc train`"]
    assert not (tmp_path / "run").exists()
