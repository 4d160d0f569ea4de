"""Forks of the server are the commands that were asked for: what they get, say, end as, and die of."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffenc.cli import fork_server

# what a fork can be asked, and is answered from its files alone
ASKED = [sys.executable, "-m", "diffenc"]


@pytest.fixture
def server(monkeypatch):
    """One of the test's own, and its process."""
    monkeypatch.delenv(fork_server.ADDRESS, raising=False)
    process = fork_server.start()
    yield process
    for pid in children(process) if process.poll() is None else ():
        os.kill(pid, signal.SIGKILL)
    process.stdin.close()
    process.wait(20)


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def until(condition):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def long_training(folder, digits, ignored=()):
    """A started training, by a fork; who asks ignores some signals."""
    study = folder / "study.yaml"
    training = "{steps: 100000, batch: 8, log_every: 5, precision: float32}"
    run = f"{{dataset: digits, models: [VDMv-2], seeds: [1], training: {training}}}"
    study.write_text(f"name: long\ntitle: Long\nruns:\n  - {run}\n")
    options = f"--study {study} --run digits/VDMv-2/fixed/seed1 --data {digits} --out {folder / 'run'} --threads 1"

    def ignore():
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    arguments = [*ASKED, "train", *options.split()]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, preexec_fn=ignore)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "digits"
    subprocess.run([*ASKED, "prepare", "digits", "--out", str(folder)], check=True)
    return folder


def test_a_fork_has_the_askers_folder_environment_mask_and_files(server, tmp_path):
    study = "name: few\ntitle: Few\nruns: [{dataset: digits, models: [VDMv-2], seeds: [1], training: {steps: 1}}]\n"
    (tmp_path / "few.yaml").write_text(study)
    (tmp_path / "results/few").mkdir(parents=True)
    environment = os.environ | {"DIFFENC_STUDY": "few.yaml"}
    with (tmp_path / "said").open("w") as said:
        arguments = [*ASKED, "collect", "--out", "new/runs.csv"]
        ended = subprocess.run(arguments, cwd=tmp_path, env=environment, stdout=said, stderr=subprocess.STDOUT)
    assert ended.returncode == 2
    missing = "results/few/runs/digits/VDMv-2/fixed/seed1/evaluation.json: is missing"
    assert (tmp_path / "said").read_text().startswith(f"diffenc: error: {missing}")
    arguments = [*ASKED, "prepare", "digits", "--out", "digits"]
    subprocess.run(arguments, cwd=tmp_path, env=environment, check=True, umask=0o077)
    assert (tmp_path / "digits/train.npy").stat().st_mode & 0o777 == 0o600
    assert not children(server)


def test_it_is_a_fork_that_works(server, tmp_path, digits):
    asked = long_training(tmp_path, digits)
    until((tmp_path / "run/progress.json").exists)
    (fork,) = children(server)
    assert f'"process": {fork}' in (tmp_path / "run/progress.json").read_text()
    asked.send_signal(signal.SIGTERM)
    assert "diffenc: stopped by SIGTERM after step" in asked.communicate(timeout=20)[1]
    assert asked.returncode == 128 + signal.SIGTERM
    assert not children(server)


def test_signals_that_the_asker_ignores_are_ignored_but_by_who_handles_them(server, tmp_path, digits):
    """As a process of its own, started in a script's background and by nohup: a training handles SIGINT."""
    asked = long_training(tmp_path, digits, ignored=(signal.SIGINT, signal.SIGHUP))
    until((tmp_path / "run/progress.json").exists)
    asked.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert asked.poll() is None
    asked.send_signal(signal.SIGINT)
    assert "diffenc: stopped by SIGINT after step" in asked.communicate(timeout=20)[1]
    assert asked.returncode == 128 + signal.SIGINT


def test_who_asks_and_is_killed_takes_the_fork_along(server, tmp_path, digits):
    asked = long_training(tmp_path, digits)
    until((tmp_path / "run/progress.json").exists)
    asked.kill()
    asked.wait()
    # and the next one does not meet it in the run's folder
    again = long_training(tmp_path, digits)
    until(lambda: '"step": 5' in (tmp_path / "run/checkpoint.history.jsonl").read_text())
    assert again.poll() is None
    again.kill()
    until(lambda: not children(server))


def test_a_fork_that_is_killed_is_a_death_of_who_asked(server, tmp_path, digits):
    asked = long_training(tmp_path, digits)
    until((tmp_path / "run/progress.json").exists)
    (fork,) = children(server)
    os.kill(fork, signal.SIGKILL)
    assert asked.wait(20) == -signal.SIGKILL


def test_without_its_server_a_job_ends_with_one_line(server, tmp_path, digits):
    asked = long_training(tmp_path, digits)
    until((tmp_path / "run/progress.json").exists)
    (fork,) = children(server)
    server.kill()
    _, said = asked.communicate(timeout=20)
    assert said == "diffenc: error: the fork server is gone, and this job with it; run again\n"
    assert asked.returncode == 1
    until(lambda: not Path(f"/proc/{fork}").exists())


def test_who_only_looks_or_is_gone_at_once_disturbs_nothing(server):
    address = os.environ[fork_server.ADDRESS].rpartition(":")[0]
    assert fork_server.start() is None  # there is one
    for said in (b"", b"\0\0", b"\0\0\0\x09{}"):
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(address)
            one.sendall(said)
    assert fork_server.run(["--help"]) == 0


def test_it_ends_with_its_starter_and_leaves_nothing(server):
    address = Path(os.environ[fork_server.ADDRESS].rpartition(":")[0])
    assert address.exists()
    server.stdin.close()
    assert server.wait(20) == 0
    assert not address.parent.exists()


@pytest.mark.parametrize("named", ["/no/such/server:{prefix}", "{address}:/another/environment"])
def test_with_no_server_to_ask_the_work_is_done_here(server, monkeypatch, named):
    address = os.environ[fork_server.ADDRESS].rpartition(":")[0]
    monkeypatch.setenv(fork_server.ADDRESS, named.format(address=address, prefix=sys.prefix))
    assert fork_server.run(["--help"]) is None
    assert subprocess.run([*ASKED, "--help"], capture_output=True).returncode == 0


def test_beside_a_gpu_only_what_does_not_compute_is_forked(server, monkeypatch, tmp_path):
    monkeypatch.setattr(fork_server, "_GPUS", (str(tmp_path),))
    assert fork_server.run(["train"]) is None
    ended = subprocess.run([*ASKED, "table"], capture_output=True, text=True)
    assert ended.returncode == 2
