"""One piece of work shared by several processes, as the command line starts them: same results, clear ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from short_training import CPU, history, killed_before_its_end, published, same_weights, train, wait_for, weights
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from diffenc import data
from diffenc.cli import fork_server
from diffenc.cli.main import main
from diffenc.io.errors import UserError
from diffenc.runtime.processes import Processes
from diffenc.runtime.signals import Stopped
from diffenc.study.load import parse_study
from diffenc.study.settings import Devices, Training
from diffenc.study.study import Run
from diffenc.training.trainer import Trainer

SCHEDULE = "monotone_learned"  # whose gradients come in two ways
PROTOCOL = {"steps": 12, "batch": 12, "warmup": 2, "log_every": 3, "ema": 0.9, "precision": "float32"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the prepared digits, and the run in it that one process and that two have trained."""
    folder = tmp_path_factory.mktemp("processes")
    data.prepare("digits", folder / "digits", folder)
    train(folder / "digits", folder / "one", "DiffEnc-2-1", schedule=SCHEDULE, **PROTOCOL)
    done(command(folder, "two"))
    return folder


def study_file(folder, schedule, **changes):
    runs = [{"dataset": "digits", "models": ["VDMv-2", "DiffEnc-2-1"], "seeds": [1], "schedule": schedule}]
    runs[0]["training"] = PROTOCOL | changes
    path = folder / f"study{len(changes)}.yaml"
    path.write_text(yaml.safe_dump({"name": "test", "title": "Shared", "runs": runs}))
    return path


def command(folder, out, processes=2, model="DiffEnc-2-1", more="", schedule=SCHEDULE, **changes):
    study = study_file(folder, schedule, **changes)
    options = f"--study {study} --run digits/{model}/{schedule}/seed1 --data {folder / 'digits'}"
    options += f" --out {folder / out} --device cpu --threads 1 --processes {processes} {more}"
    return [sys.executable, "-m", "diffenc", "train", *options.split()]


def done(arguments):
    found = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    return found


def interrupted(arguments, out, how, worker=None):
    """Start, send `how` to the launcher or to a worker after the first checkpoint: what it said, its status."""
    # no forks: the workers are to be found as the launcher's children
    alone = {name: value for name, value in os.environ.items() if name != fork_server.ADDRESS}
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=alone)
    wait_for(out, process)
    os.kill(process.pid if worker is None else workers(process)[worker], how)
    _, said = process.communicate(timeout=60)
    return said, process.returncode


def workers(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def difference(a, b):
    a, b = weights(a), weights(b)
    return max((a[name] - b[name]).abs().max().item() for name in a)


def test_the_curve_does_not_depend_on_the_number_of_processes(place):
    assert published(place / "two")
    agree(place / "one", place / "two")


def test_by_torchrun_with_adaptive_times(place):
    arguments = command(place, "torchrun", processes=1, model="VDMv-2", schedule="learned", times="adaptive")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "--"]
    done([*torchrun, *arguments[2:]])
    train(place / "digits", place / "alone", "VDMv-2", schedule="learned", times="adaptive", **PROTOCOL)
    agree(place / "torchrun", place / "alone")


def agree(a, b):
    """To rounding. AdamW divides by the gradient's own size, so where that is all rounding, a step may differ."""
    for x, y in zip(history(a), history(b), strict=True):
        assert x["step"] == y["step"]
        assert x["total"] == pytest.approx(y["total"], rel=1e-5)
    assert difference(a, b) < 1e-3


@pytest.mark.parametrize(("processes", "how"), [(2, signal.SIGTERM), (3, signal.SIGUSR1)])
def test_interrupted_and_run_again_equals_undisturbed_bit_for_bit(place, processes, how):
    out = f"interrupted{processes}"
    arguments = command(place, out, processes, more="--checkpoint-steps 4")
    said, status = interrupted(arguments, place / out, how)
    assert status == 128 + how
    assert said.count("\n") == 1, said
    step = int(said.split("after step ")[1].split(",")[0])
    assert said.startswith(f"diffenc: stopped by {how.name} after step {step}, checkpoint written")
    assert (place / out / f"checkpoint-{step}.safetensors").exists()
    assert json.loads((place / out / "progress.json").read_text())["state"] == "stopped"
    shutil.copytree(place / out, place / f"{out}-on-one")
    done(arguments)
    whole = place / "two"
    if processes > 2:
        done(command(place, whole := place / "three", processes))
    assert history(place / out) == history(whole)
    assert same_weights(place / out, whole)
    train(place / "digits", place / f"{out}-on-one", "DiffEnc-2-1", schedule=SCHEDULE, **PROTOCOL)
    agree(place / f"{out}-on-one", place / "one")


def test_begun_by_one_and_ended_by_two(place):
    with killed_before_its_end():
        train(place / "digits", place / "one-two", "DiffEnc-2-1", schedule=SCHEDULE, checkpoint_steps=7, **PROTOCOL)
    done(command(place, "one-two"))
    agree(place / "one-two", place / "one")
    assert history(place / "one-two")[:2] == history(place / "one")[:2]


def test_a_killed_process_ends_all_and_the_run_goes_on(place):
    arguments = command(place, "killed", more="--checkpoint-steps 4", steps=30)
    said, status = interrupted(arguments, place / "killed", signal.SIGKILL, worker=1)
    assert status == 128 + signal.SIGKILL
    assert "process 1 of 2 was killed by SIGKILL; run again to go on" in said
    assert "Traceback" not in said
    assert said.count("\n") <= 2, said
    done(arguments)
    assert published(place / "killed")


def test_processes_stop_when_their_launcher_is_killed(place):
    out = place / "orphans"
    arguments = command(place, "orphans", more="--checkpoint-steps 4", steps=1000)
    said, _ = interrupted(arguments, out, signal.SIGKILL)  # ends when the last process closes its stderr
    assert "stopped by SIGTERM" in said
    assert json.loads((out / "progress.json").read_text())["state"] == "stopped"


def test_a_stop_that_all_agreed_on_stays_one_if_another_process_leaves_earlier(monkeypatch):
    def reset(self):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection reset by peer")

    monkeypatch.setattr(Processes, "wait", reset)
    stopped = Stopped(signal.SIGTERM, 5)
    assert not Processes(CPU, rank=0, size=2).__exit__(Stopped, stopped, None)  # so it goes on to say why


def test_evaluation_does_not_depend_on_the_number_of_processes(place):
    def evaluate(out, processes):
        options = f"--model {place / 'one'} --data {place / 'digits'} --out {out}.json --processes {processes}"
        options += " --passes 3 --batch 100 --images 250 --device cpu --threads 1"
        return ["evaluate", *options.split()]

    one, two = place / "evaluated-by-one", place / "evaluated-by-two"
    main(evaluate(one, 1))
    done([sys.executable, "-m", "diffenc", *evaluate(two, 2)])
    assert one.with_suffix(".json").read_text() == two.with_suffix(".json").read_text()
    one, two = (np.load(path.with_suffix(".npz")) for path in (one, two))
    assert {name: one[name].tobytes() for name in one} == {name: two[name].tobytes() for name in two}


def test_samples_do_not_depend_on_the_number_of_processes(place):
    def sample(out, processes):
        options = f"--model {place / 'one'} --data {place / 'digits'} --out {out} --processes {processes}"
        options += " --count 5 --steps 10 --device cpu --threads 1"
        return ["sample", *options.split()]

    one, two = place / "samples-of-one.npz", place / "samples-of-two.npz"
    main(sample(one, 1))
    done([sys.executable, "-m", "diffenc", *sample(two, 2)])
    one, two = (np.load(path)["samples"] for path in (one, two))
    assert len(one) == 5
    np.testing.assert_array_equal(one, two)


def mistake(arguments):
    found = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert found.returncode == 2, found.stderr
    assert found.stderr.count("\n") == 1, found.stderr
    assert found.stderr.startswith("diffenc: error: ")
    return found.stderr


def test_a_mistake_that_a_process_finds_is_one_line(place):
    shutil.copytree(place / "two", place / "other")
    said = mistake(command(place, "other", learning_rate=0.1))
    assert "holds the results of another configuration: training.learning_rate was 0.0002 and is now 0.1" in said
    assert "the loss is not finite at step" in mistake(command(place, "diverged", learning_rate=1e30))


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ("", {"batch": 7}, "--processes 2: the run's training.batch of 7 cannot be shared equally by them"),
        ("--nodes 3", {}, "--processes 2: cannot be shared equally by 3 nodes; ask for a multiple of 3"),
        ("--nodes 2", {}, "--nodes 2: there is no SLURM job here; run inside of one of 2 nodes, or start torchrun"),
    ],
)
def test_a_mistake_is_found_before_anything_starts(place, capsys, monkeypatch, options, changes, message):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(SystemExit, match="2"):
        main(command(place, "refused", more=options, **changes)[3:])
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_an_output_folder_that_cannot_be(place, capsys):
    (place / "file").write_text("")
    with pytest.raises(SystemExit, match="2"):
        main(command(place, "file/run")[3:])
    assert "file/run cannot be written to (Not a directory); name another folder" in capsys.readouterr().err


def test_more_processes_than_gpus(place, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SystemExit, match="2"):
        main([*command(place, "gpus")[3:], "--device", "cuda"])
    assert "--processes 2: each needs a GPU of its own, torch sees 1 here for 2" in capsys.readouterr().err


def test_devices_of_a_study():
    def study(**group):
        runs = [{"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "training": {"steps": 3, "batch": 8}}]
        return parse_study({"name": "s", "title": "s", "runs": [runs[0] | group]}, "s.yaml")

    run = Run("digits", "VDMv-2", "fixed", 1)
    assert study().devices == {run: Devices(1, 1)}
    assert study(gpus=4, nodes=2).devices == {run: Devices(4, 2)}
    assert study(gpus=4, nodes=2).training == study().training
    with pytest.raises(UserError, match=r"runs\[0\]: gpus: 4 in all cannot be shared equally by 3 nodes"):
        study(gpus=4, nodes=3)
    with pytest.raises(UserError, match=r"runs\[0\]: training.batch: 8 cannot be shared equally by 3 gpus"):
        study(gpus=3)


def test_tensorboard_shows_every_line_once(place, tmp_path):
    def run():
        training = Training(**PROTOCOL)
        which, where = Run("digits", "VDMv-2", "fixed", 1), (place / "digits", tmp_path, CPU)
        trainer = Trainer(which, training, "test", *where, tensorboard=True)
        trainer.run(7, 600)

    with killed_before_its_end():
        run()
    time.sleep(1)  # event files are told apart by the second
    run()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    lines = history(tmp_path)
    assert [line["step"] for line in lines] == [3, 6, 9, 12]
    for tag, name in {"bpd/total": "total", "bpd/latent": "latent", "gamma/1": "gamma_1"}.items():
        shown = [(event.step, event.value) for event in events.Scalars(tag)]
        assert shown == [(line["step"], pytest.approx(line[name], rel=1e-6)) for line in lines]
    assert len(events.Scalars("speed/images_per_s")) == 4
