"""What a person sees of many jobs, in a log and on a terminal."""

import io
import json
import re
import time
from pathlib import Path

import pytest

from diffenc.cli import display
from diffenc.cli.display import Display, for_people
from diffenc.results.progress import PROGRESS


class Terminal(io.StringIO):
    def isatty(self):
        return True


def progress(folder, step, left):
    """As a training writes it."""
    attempt = {"first": 0, "last": step, "seconds": 1.0, "processes": 1, "host": "h", "process": 1}
    content = {
        "state": "training",
        "step": step,
        "steps": 200,
        "bpd": 3.14159,
        "images_per_s": 9.0,
        "seconds_left": left,
    }
    content |= {"seconds_left": left, "device": "cpu", "peak_bytes": 1, "time": time.time()}
    content["attempts"] = [attempt | {"slurm_job": None, "ended": None}]
    (folder / PROGRESS).write_text(json.dumps(content))


def test_a_log_has_a_line_for_each_job_that_ended(tmp_path):
    log = io.StringIO()
    shown = Display("mine", log)
    shown.plan({"train": 2, "table": 10})
    progress(tmp_path, 200, 0.0)
    shown.start(7, "train", "digits/VDMv-2/fixed/seed1", tmp_path)
    shown.start(8, "table", "digits/components", None)
    shown.end(8)
    shown.end(7)
    shown.fail(9, "Error in rule train:\n    jobid: 9")
    shown.close()
    assert log.getvalue().splitlines() == [
        "mine: 12 jobs, 2 train, 10 table",
        "[ 1/12] table digits/components 0:00",
        "[ 2/12] train digits/VDMv-2/fixed/seed1 0:00, 3.142 bpd in training",
        "Error in rule train:",
        "    jobid: 9",
    ]


@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal_has_bars_with_steps_and_time_left(tmp_path, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    shown = Display("mine", screen)
    shown.plan({"train": 2, "table": 1})
    progress(tmp_path, 50, 90.0)
    shown.start(1, "train", "digits/DiffEnc-2-nt/fixed/seed1", tmp_path)
    shown._looked = 0.0
    shown.bars.refresh()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert all(len(line) <= columns for line in lines)
    training, whole = lines[-2:]
    assert training.startswith("train digits/DiffEnc-2-nt/fixed/seed1")
    assert re.search(r"50/200 +1:[23]\d left", training)
    assert re.match(r"mine .* 0/3", whole)
    shown.end(1)
    shown.close()
    assert "digits/DiffEnc-2-nt/fixed/seed1 0:00, 3.142 bpd in training" in screen.getvalue()


def test_bars_are_drawn_at_any_moment(tmp_path, monkeypatch):
    """Also between the end of one job and the start of the next: a thread draws, and each change of the bars does."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(display, "REFRESHES", 1000)
    monkeypatch.setattr(Display, "_looked", property(lambda _: 0.0, lambda *_: None), raising=False)
    progress(tmp_path, 50, 90.0)
    screen, failed = Terminal(), []
    monkeypatch.setattr("threading.excepthook", failed.append)
    shown = Display("mine", screen)
    shown.plan({"train": 300})
    for job in range(300):
        shown.start(job, "train", str(job), tmp_path)
        if job:
            shown.end(job - 1)
    shown.close()
    assert not failed
    assert "[299/300] train 298 0:00" in screen.getvalue()


def test_what_is_left_is_what_other_jobs_of_a_rule_took(monkeypatch):
    now = 0.0
    monkeypatch.setattr(display.time, "monotonic", lambda: now)
    shown = Display("mine", io.StringIO())
    shown.plan({"train": 4, "table": 2})
    shown.start(1, "train", "a", Path("a"))
    shown.start(2, "train", "b", Path("b"))
    assert shown._left() is None  # nothing has ended yet
    now = 100.0
    shown.end(1)
    shown.start(3, "train", "c", Path("c"))
    # b at its end, c and one more of 100 s, two tables of which nothing is known, shared by two
    assert shown._left() == pytest.approx((0 + 100 + 100) / 2)
    now = 110.0
    shown.end(2)
    shown.start(4, "table", "x", None)
    now = 112.0
    shown.end(4)
    shown.start(5, "table", "y", None)
    # c after 12 s, the last training, y just begun; 105 s and 2 s on average
    assert shown._left() == pytest.approx((105 - 12 + 105 + 2) / 2)


def test_seconds_for_people():
    assert [for_people(s) for s in (0, 5.4, 65, 3599, 3600, 90000)] == [
        *("0:00", "0:05", "1:05", "59:59", "1:00:00", "1 day, 1:00:00"),
    ]
