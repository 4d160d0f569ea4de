"""Outputs that would destroy something, or that nobody takes."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mistakes import COMPUTING, DATA, EVALUATE

from diffenc.cli import report
from diffenc.cli.main import main


@pytest.mark.parametrize("command", COMPUTING)
def test_output_folder_that_is_a_file(refused, command):
    Path("new").write_text("a file")
    assert "error: --out: new cannot be written to (" in refused(command)


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


@pytest.mark.parametrize(("name", "said"), [("results/x.csv", "results/x.csv"), (None, "a file")])
def test_a_disk_that_is_full(monkeypatch, capsys, name, said):
    """The file is named where the system says which it was; standard output takes the blame for itself alone."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    monkeypatch.setattr(report, "collect_runs", full)
    with pytest.raises(SystemExit) as left:
        main(["collect", "--study", "study.yaml", "--out", "x.csv"])
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error == f"diffenc: error: {said}: cannot be written (No space left on device); free space\n"
