"""Checkpoints, the lock and the signals: what a run does about damage, rivals and requests to stop."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from short_training import CPU, RUN, STUDY, history, same_weights, train, wait_for

from diffenc import data
from diffenc.io.errors import UserError
from diffenc.io.files import locked
from diffenc.runtime.signals import StopSignal
from diffenc.study.settings import Training
from diffenc.training.checkpoint import Checkpoints, TrainingState
from diffenc.training.trainer import Trainer

TRAINING = Training(steps=8, batch=4, warmup=2, log_every=2, ema=0.9)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "digits"
    data.prepare("digits", folder, folder)
    return folder


@pytest.fixture(scope="module")
def trainer(digits, tmp_path_factory):
    """One whose state is after step 6, with checkpoints of steps 2, 4 and 6 written one after the other."""
    trainer = Trainer(RUN, TRAINING, "test", digits, tmp_path_factory.mktemp("run"), CPU)
    for step in range(6):
        trainer._step(step)
        trainer.state.step = step + 1
        if step % 2:
            trainer.checkpoints.save(trainer.state)
    return trainer


def names(checkpoints):
    return [path.name for path in checkpoints.paths()]


def fingerprint(state):
    return {name: tensor.clone() for name, tensor in state.tensors().items()}, state.step


def test_the_last_two_are_kept(trainer):
    assert names(trainer.checkpoints) == ["checkpoint-6.safetensors", "checkpoint-4.safetensors"]


class Counting(torch.nn.Linear):
    """Counts its passes in a buffer."""

    def __init__(self):
        super().__init__(2, 1)
        self.register_buffer("passes", torch.tensor(0))

    def forward(self, x):
        self.passes += 1
        return super().forward(x)


def counting():
    model = Counting()
    average = [parameter.detach().clone() for parameter in model.parameters()]
    state = TrainingState(model, average, torch.optim.AdamW(model.parameters()))
    model(torch.ones(1, 2)).sum().backward()
    state.optimizer.step()
    return model, state


def test_buffers_are_kept(tmp_path):
    model, state = counting()
    state.step = 1
    model(torch.ones(1, 2))
    Checkpoints(tmp_path, {}).save(state)
    other, again = counting()
    Checkpoints(tmp_path, {}).restore(again)
    assert other.passes == 2
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), model.parameters(), strict=True))


@pytest.fixture
def copy(trainer, tmp_path):
    for path in trainer.checkpoints.paths():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return Checkpoints(tmp_path, trainer.config)


@pytest.fixture
def states(trainer, copy):
    """What the two checkpoints hold, by step; then a state to read into."""
    newest, before = copy.paths()
    found = {}
    for kept in (newest, before):
        if kept == before:
            hidden = newest.rename(newest.with_suffix(".hidden"))
        copy.restore(trainer.state)
        found[trainer.state.step] = fingerprint(trainer.state)
    hidden.rename(newest)
    return found


def damage(content, rng):
    """Bytes flipped at random, or the end cut off."""
    if rng.random() < 0.3:
        return content[: rng.randrange(len(content))]
    damaged = bytearray(content)
    # half of them in the header, where a file's structure is
    span = len(content) if rng.random() < 0.5 else 2000
    for _ in range(rng.choice([1, 1, 4])):
        position = rng.randrange(span)
        damaged[position] ^= rng.randrange(1, 256)
    return bytes(damaged)


def test_damage_is_found_and_the_one_before_is_used(trainer, copy, states, capsys):
    rng = random.Random(0)
    newest = copy.paths()[0]
    whole = newest.read_bytes()
    for case in range(200):
        newest.write_bytes(damage(whole, rng))
        copy.restore(trainer.state)
        expected, step = states[4]
        assert trainer.state.step == step, case
        restored = trainer.state.tensors()
        assert all(torch.equal(restored[name], expected[name]) for name in expected), case
        warning = capsys.readouterr().err
        assert warning.startswith(f"diffenc: warning: {newest}: is damaged"), case
        assert warning.count("\n") == 1, case


def test_with_none_whole_it_refuses(trainer, copy):
    for path in copy.paths():
        os.truncate(path, 100)
    with pytest.raises(UserError, match=r"checkpoint-6.*damaged.*no other is left; delete"):
        copy.restore(trainer.state)
    assert len(copy.paths()) == 2


def test_a_damaged_later_one_goes_when_the_run_has_passed_on(trainer, copy, states):
    os.truncate(copy.paths()[0], 100)
    copy.restore(trainer.state)
    trainer.state.step = 5
    copy.save(trainer.state)
    assert names(copy) == ["checkpoint-5.safetensors", "checkpoint-4.safetensors"]


def test_a_full_disk_keeps_what_there_is(trainer, copy, monkeypatch):
    from diffenc.io import files

    before = names(copy)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    trainer.state.step = 8
    with pytest.raises(UserError, match=r"checkpoint-8.safetensors: cannot be written \(No space left on device\)"):
        copy.save(trainer.state)
    assert names(copy) == before
    assert sorted(path.name for path in copy.folder.iterdir()) == sorted(before)


def test_one_job_holds_a_run(tmp_path):
    hold = (
        "import sys, time; from pathlib import Path; from diffenc.io.files import locked\n"
        f"with locked(Path({str(tmp_path)!r})): print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=rf"is being trained by process {other.pid} on .*; wait for it, or stop it"):
        locked(tmp_path).__enter__()
    other.kill()
    other.wait()
    with locked(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / ".lock").read_text()


def test_signals_are_noted_and_then_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal() as stop:
        assert stop.received is None
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.received == signal.SIGUSR1
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_stops_the_run_with_its_checkpoint_written(digits, tmp_path, number):
    study = tmp_path / "study.yaml"
    group = STUDY["runs"][0]
    training = group["training"] | {"steps": 150}
    study.write_text(yaml.safe_dump(STUDY | {"runs": [group | {"models": ["VDMv-2"], "training": training}]}))
    out = tmp_path / "run"
    options = f"--study {study} --run digits/VDMv-2/fixed/seed1 --data {digits} --out {out}"
    command = [sys.executable, "-m", "diffenc", "train", *options.split(), "--device", "cpu", "--threads", "1"]
    process = subprocess.Popen([*command, "--checkpoint-steps", "20"], stderr=subprocess.PIPE, text=True)
    wait_for(out, process)
    time.sleep(random.uniform(0, 0.2))
    process.send_signal(number)
    error = process.communicate()[1]
    assert process.returncode == 128 + number
    (stopped,) = (line for line in error.splitlines() if line.startswith("diffenc"))
    step = int(stopped.split()[6].strip(","))
    assert stopped == f"diffenc: stopped by {number.name} after step {step}, checkpoint written; run again to go on"
    assert (out / f"checkpoint-{step}.safetensors").exists()
    subprocess.run(command, check=True, capture_output=True)
    whole = train(digits, tmp_path / "whole", "VDMv-2", **training, warmup=100)
    assert [line["step"] for line in history(out)] == [line["step"] for line in history(whole)]
    assert same_weights(out, whole)
