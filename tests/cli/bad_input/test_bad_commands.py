"""Command lines that are wrong, and what a command needs of the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mistakes import COMPUTING, DATA, ENCODE, EVALUATE, SAMPLE, STUDY, TRAIN_NEW

from diffenc.cli import fork_server


@pytest.mark.parametrize("words", [["plan", "a\nb", "c\nd"], ["evaluate", "--protocol", "a\nb"], ["plan", "a\nb"]])
def test_a_line_end_in_what_was_given(refused, words):
    refused(words)


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


def test_a_latin_1_locale():
    Path("study.yaml").write_text(STUDY.replace("A small study", "Zoë → β"), encoding="utf-8")
    mine = {name: value for name, value in os.environ.items() if name != fork_server.ADDRESS}
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "diffenc", "plan", "study.yaml"]
    ended = subprocess.run(command, env=mine | locale, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Zoë ? ?".encode("latin-1") in ended.stdout
