"""Training: its order and noise, what it writes, and that an interruption cannot be told from the result."""

import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from short_training import (
    CPU,
    STUDY,
    history,
    killed_before_its_end,
    published,
    same_weights,
    train,
    wait_for,
    weights,
)

from diffenc import data
from diffenc.io.errors import UserError
from diffenc.study.settings import Training
from diffenc.training.batches import Batches
from diffenc.training.step import warmed_up
from diffenc.training.trainer import Trainer


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "digits"
    data.prepare("digits", folder, folder)
    return folder


def test_every_epoch_is_a_permutation_and_batches_run_on_across_epochs():
    batches = Batches(np.zeros((10, 1, 2, 2), np.uint8), 4, 3, CPU)
    seen = torch.cat([batches.indices(step) for step in range(15)]).reshape(6, 10)
    assert (seen.sort(dim=1).values == torch.arange(10)).all()
    assert len({tuple(epoch.tolist()) for epoch in seen}) == 6
    again = Batches(np.zeros((10, 1, 2, 2), np.uint8), 4, 3, CPU)
    assert torch.equal(again.indices(7), seen.flatten()[28:32])
    assert not torch.equal(Batches(batches.images, 4, 4, CPU).indices(7), seen.flatten()[28:32])


def test_a_batch_larger_than_the_data_set():
    batches = Batches(np.zeros((3, 1, 2, 2), np.uint8), 7, 0, CPU)
    assert torch.bincount(torch.cat([batches.indices(step) for step in range(3)])).tolist() == [7, 7, 7]


def test_noise_of_a_batch():
    batches = Batches(np.zeros((10, 1, 4, 4), np.uint8), 8, 3, CPU)
    first, second = batches(0), batches(1)
    gaps = first.t.sort().values.diff()
    torch.testing.assert_close(gaps, torch.full_like(gaps, 1 / 8), rtol=1e-5, atol=1e-6)
    for name in ("t", "eps_0", "eps_t", "keys"):
        assert not torch.equal(getattr(first, name), getattr(second, name)), name
    assert not torch.equal(first.eps_0, first.eps_t)


def test_warm_up():
    rates = [0.1 * warmed_up(step, Training(steps=9, warmup=4)) for step in range(6)]
    assert rates == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.1])
    assert warmed_up(0, Training(steps=9, warmup=0)) == 1


@pytest.mark.parametrize("model", ["VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1"])
def test_it_learns_and_writes_what_it_did(digits, tmp_path, model):
    protocol = {"steps": 40, "batch": 16, "learning_rate": 3e-3, "log_every": 10, "ema": 0.5}
    out = train(digits, tmp_path, model, **protocol)
    lines = history(out)
    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    assert lines[-1]["total"] < 0.8 * lines[0]["total"]
    for line in lines:
        assert line["total"] == pytest.approx(line["diffusion"] + line["latent"] + line["reconstruction"])
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert (config["model"], config["seed"], config["training"]["steps"]) == (model, 1, 40)
    assert config["train_sha256"] == data.manifest(digits)["train"]["sha256"]
    assert published(out)
    saved = weights(out)
    assert any(
        not torch.equal(saved[name], saved[name.replace("ema/", "parameter/")]) for name in saved if "ema/" in name
    )


def test_the_average_is_the_recursion_over_the_steps(digits, tmp_path):
    steps = [weights(train(digits, tmp_path / str(n), steps=n)) for n in (1, 2, 3)]
    name = "denoiser.conv_in.weight"
    average = steps[0][f"ema/{name}"]  # no step is taken at the warm-up's first rate, 0
    torch.testing.assert_close(average, steps[0][f"parameter/{name}"])
    for state in steps[1:]:
        average = 0.9 * average + 0.1 * state[f"parameter/{name}"]
        torch.testing.assert_close(state[f"ema/{name}"], average, rtol=1e-5, atol=1e-7)


def test_same_seed_same_result(digits, tmp_path):
    first, second = (train(digits, tmp_path / name) for name in "ab")
    assert same_weights(first, second)
    assert history(first) == history(second)
    assert not same_weights(first, train(digits, tmp_path / "other", seed=2))
    assert not same_weights(first, train(digits, tmp_path / "dry", dropout=0.0))


def test_a_learned_schedule_moves(digits, tmp_path):
    line = history(train(digits, tmp_path, schedule="learned", learning_rate=0.01))[-1]
    assert abs(line["gamma_0"] + 7.9) > 1e-3
    assert abs(line["gamma_1"] - 5) > 1e-3


def test_a_loss_that_is_not_finite_stops_the_run(digits, tmp_path, monkeypatch):
    Trainer._step, original = Trainer._step, Trainer._step

    def poisoned(self, step):
        if step == 4:
            with torch.no_grad():
                self.state.parameters[0].fill_(float("nan"))
        original(self, step)

    monkeypatch.setattr(Trainer, "_step", poisoned)
    with pytest.raises(UserError, match=r"not finite at step 5; the last good checkpoint is kept"):
        train(digits, tmp_path, steps=9, log_every=3, checkpoint_steps=3)
    state = load_file(tmp_path / "checkpoint-3.safetensors")
    assert all(torch.isfinite(value).all() for value in state.values())
    assert not (tmp_path / "model.safetensors").exists()
    monkeypatch.setattr(Trainer, "_step", original)
    train(digits, tmp_path, steps=9, log_every=3)
    assert same_weights(tmp_path, train(digits, tmp_path / "undisturbed", steps=9, log_every=3))


def test_a_finished_run_is_not_trained_again(digits, tmp_path, capsys):
    out = train(digits, tmp_path)
    before = (out / "model.safetensors").stat().st_mtime_ns
    train(digits, tmp_path, log_every=3)
    assert "is trained already" in capsys.readouterr().out
    assert (out / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(UserError, match=r"holds the results of another configuration: seed was 1 and is now 2; name"):
        train(digits, tmp_path, seed=2)
    (out / "model.safetensors").unlink()
    train(digits, tmp_path, again=True)
    assert (out / "model.safetensors").stat().st_mtime_ns > before
    assert "trained already" not in capsys.readouterr().out


def without_training(monkeypatch):
    def step(self, step):
        raise AssertionError("it trains")

    monkeypatch.setattr(Trainer, "_step", step)


def test_deleted_results_are_put_back_without_training(digits, tmp_path, monkeypatch, capsys):
    """As Snakemake leaves a run that ended while Snakemake was not there."""
    out = train(digits, tmp_path)
    files = ("model.safetensors", "config.yaml", "history.jsonl", "cost.json")
    before = {name: (out / name).read_bytes() for name in files}
    for name in files:
        (out / name).unlink()
    without_training(monkeypatch)
    train(digits, tmp_path)
    assert "its results are put back" in capsys.readouterr().out
    assert {name: (out / name).read_bytes() for name in files} == before


def test_a_copied_run_is_not_trained_again(digits, tmp_path, monkeypatch, capsys):
    shutil.copytree(train(digits, tmp_path / "run"), tmp_path / "copy", ignore=shutil.ignore_patterns(".*"))
    without_training(monkeypatch)
    train(digits, tmp_path / "copy")
    assert "is trained already" in capsys.readouterr().out


def test_putting_back_leaves_another_configurations_checkpoints(digits, tmp_path):
    out = train(digits, tmp_path, steps=6)
    for name in ("model.safetensors", "config.yaml"):
        (out / name).unlink()

    with killed_before_its_end():
        train(digits, out, steps=9, checkpoint_steps=4)
    train(digits, out, steps=6)
    assert {path.name for path in out.glob("checkpoint-*")} == {
        "checkpoint-4.safetensors",
        "checkpoint-8.safetensors",
    }


def test_a_kill_while_results_are_published(digits, tmp_path):
    whole = train(digits, tmp_path / "whole")

    for name in ("diffenc.training.artifacts.keep", "diffenc.training.checkpoint.Checkpoints.remove"):
        with killed_before_its_end(name):
            train(digits, tmp_path / name, checkpoint_steps=4)
        assert train(digits, tmp_path / name) == tmp_path / name
        assert same_weights(tmp_path / name, whole)
        assert published(tmp_path / name)
        assert history(tmp_path / name) == history(whole)


@pytest.mark.parametrize("fault", ["damaged", "another configuration"])
def test_kept_results_that_are_not_this_runs_are_not_put_back(digits, tmp_path, fault, capsys):
    out = train(digits, tmp_path / "run", steps=6 if fault == "damaged" else 7)
    (out / "model.safetensors").unlink()
    if fault == "damaged":
        (out / ".trained/model.safetensors").write_bytes(b"no weights")
    train(digits, out)
    assert ("damaged" in capsys.readouterr().err) == (fault == "damaged")
    assert same_weights(out, train(digits, tmp_path / "fresh"))


def test_the_history_is_in_the_checkpoint(digits, tmp_path):
    whole = train(digits, tmp_path / "whole", steps=12)

    out = tmp_path / "run"
    with killed_before_its_end():
        train(digits, out, steps=12, checkpoint_steps=5)
    (out / "checkpoint.history.jsonl").write_bytes(b"\xff[1]\n")
    train(digits, out, steps=12)
    assert history(out) == history(whole)
    assert same_weights(out, whole)


@pytest.mark.parametrize(("precision", "schedule"), [("float32", "fixed"), ("bf16", "monotone")])
def test_killed_at_a_random_step_and_run_again(digits, tmp_path, precision, schedule):
    study, group = tmp_path / "study.yaml", STUDY["runs"][0] | {"schedule": schedule}
    training = group["training"] | {"precision": precision}
    study.write_text(yaml.safe_dump(STUDY | {"runs": [group | {"training": training}]}))

    def command(out):
        options = f"--study {study} --run digits/DiffEnc-2-1/{schedule}/seed1 --data {digits} --out {out}"
        options += " --device cpu --threads 1 --checkpoint-steps 7"
        return [sys.executable, "-m", "diffenc", "train", *options.split()]

    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    subprocess.run(command(undisturbed), check=True, capture_output=True)
    kills = 0
    while kills < 2:
        process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_for(killed, process)
        time.sleep(random.uniform(0, 0.4))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills >= 1
    if not (killed / "model.safetensors").exists():
        subprocess.run(command(killed), check=True, capture_output=True)
    assert same_weights(undisturbed, killed)
    assert history(undisturbed) == history(killed)
    assert published(killed)
