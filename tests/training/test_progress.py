"""What `diffenc status` knows of runs, from their files alone."""

import json
import time

import pytest
import yaml
from short_training import CPU, RUN, train

from diffenc import data
from diffenc.cli.main import main
from diffenc.results.progress import read, state_of, use
from diffenc.results.records import read_cost
from diffenc.study.settings import Training
from diffenc.training import progress
from diffenc.training.trainer import Trainer


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "digits"
    data.prepare("digits", folder, folder)
    return folder


class Killed(Exception):
    pass


def killed_after(step, out, digits):
    """The run as a kill after that step leaves it."""

    def note(self, done, line):
        self.write("training", done, line)
        if done == step:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress.Progress, "note", note)
        with pytest.raises(Killed):
            train(digits, out, checkpoint_steps=2)


def test_time_and_attempts_add_up_over_restarts(digits, tmp_path):
    killed_after(5, tmp_path, digits)
    first = read(tmp_path)
    assert (first["state"], first["step"]) == ("training", 5)
    train(digits, tmp_path)
    second = read(tmp_path)
    assert (second["state"], second["step"], second["steps"]) == ("done", 6, 6)
    assert [(a["first"], a["last"], a["ended"]) for a in second["attempts"]] == [(0, 5, None), (4, 6, "done")]
    assert second["attempts"][0] == first["attempts"][0]
    assert second["peak_bytes"] >= first["peak_bytes"] > 50e6
    cost = json.loads((tmp_path / "cost.json").read_text())
    seconds = sum(attempt["seconds"] for attempt in second["attempts"])
    assert cost["device_hours"] == pytest.approx(seconds / 3600, abs=2e-4)
    assert (cost["device"], cost["attempts"]) == ("cpu, float32", 2)
    assert cost["use"] is None
    last = json.loads((tmp_path / "history.jsonl").read_text().splitlines()[-1])
    assert second["bpd"] == last["total"]


def test_what_a_job_of_slurm_s_used_of_what_it_was_given(digits, tmp_path, monkeypatch):
    """Two attempts, the second with twice the memory; its hours are those of the longer one."""
    for memory in (1.0, 2.0):
        given = {"memory_gib": memory, "hours": 24.0, "cpus": 4.0}
        monkeypatch.setattr(progress.slurm, "given", lambda processes, given=given: given)
        if memory == 1.0:
            killed_after(5, tmp_path, digits)
    train(digits, tmp_path)
    attempts = read(tmp_path)["attempts"]
    assert [attempt["given"]["memory_gib"] for attempt in attempts] == [1.0, 2.0]
    found = read_cost(tmp_path / "cost.json").use
    assert (found.memory_gib_given, found.hours_given, found.cpus_given) == (2.0, 24.0, 4.0)
    assert found.memory_gib == pytest.approx(read(tmp_path)["peak_bytes"] / 2**30, abs=1e-3)  # on a CPU
    assert found.hours == pytest.approx(max(attempt["seconds"] for attempt in attempts) / 3600, abs=1e-4)


def test_cpus_are_their_seconds_over_those_of_the_clock():
    attempt = {"seconds": 10.0, "host_bytes": 2**30, "cpu_seconds": 25.0}
    given = {"memory_gib": None, "hours": 1.0, "cpus": 4.0}
    earlier = {"seconds": 1000.0, "processes": 1}  # of an earlier version: it says nothing of them
    found = use([earlier, attempt | {"given": given}, attempt | {"host_bytes": 3 * 2**30, "given": given}])
    assert (found["cpus"], found["memory_gib"], found["hours"]) == (2.5, 3.0, pytest.approx(1000 / 3600))
    assert use([attempt | {"seconds": 0.0, "given": given}])["cpus"] is None
    assert use([attempt | {"given": given}, earlier]) is None


def test_a_run_trained_anew_counts_anew(digits, tmp_path):
    train(digits, tmp_path)
    train(digits, tmp_path, again=True)
    assert len(read(tmp_path)["attempts"]) == 1


def test_states(digits, tmp_path):
    now = time.time()
    assert state_of(tmp_path, now) == "waiting"
    killed_after(3, tmp_path, digits)
    now = read(tmp_path)["time"]
    assert state_of(tmp_path, now) == "training"
    assert state_of(tmp_path, now + 61) == "lost"
    one = Trainer(RUN, Training(steps=6), "test", digits, tmp_path, CPU)
    one.logger.begin(one.state)
    one.logger.note("stopped", one.state, "SIGTERM")
    assert state_of(tmp_path, now + 61) == "stopped"
    (tmp_path / "progress.json").write_text('{"state": "trai')
    assert state_of(tmp_path, now) == "waiting"
    train(digits, tmp_path)
    assert state_of(tmp_path, now) == "trained"
    (tmp_path / "evaluation.json").touch()
    assert state_of(tmp_path, now) == "evaluated"
    for name in ("model.safetensors", "progress.json"):
        (tmp_path / name).unlink()
    assert state_of(tmp_path, now) == "evaluated"  # elsewhere


@pytest.mark.parametrize("old", [{"attempts": 2, "device_seconds": 12.0}, {"attempts": [{}]}, {}])
def test_a_file_of_another_version_stops_nothing(digits, tmp_path, old):
    written = {"state": "training", "step": 3, "steps": 6, "device": "cpu", "time": 1.0} | old
    (tmp_path / "progress.json").write_text(json.dumps(written))
    assert state_of(tmp_path, time.time()) == "waiting"
    train(digits, tmp_path)
    assert len(read(tmp_path)["attempts"]) == 1


def test_a_studys_table(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    group = {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1, 2], "training": {"steps": 6}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"name": "small", "title": "Small", "runs": [group]}))
    killed_after(4, tmp_path / "results/small/runs/digits/VDMv-2/fixed/seed1", digits)
    capsys.readouterr()
    main(["status", "study.yaml"])
    _, _, first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:5] == ["digits/VDMv-2/fixed/seed1", "training", "4", "/", "6"]
    assert "cpu" in first
    assert second.split() == ["digits/VDMv-2/fixed/seed2", "waiting"]
