"""Tab, in a shell that a person types into."""

import os
import pty
import subprocess

import pipeline
import pytest


def typed(folder, *lines):
    """What an interactive bash in the folder shows when these lines are typed into it."""
    master, slave = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"], stdin=slave, stdout=slave, stderr=slave, cwd=folder, close_fds=True
    )
    os.close(slave)
    os.write(master, "".join(f"{line}\n" for line in (*lines, "exit")).encode())
    shown = b""
    try:
        while part := os.read(master, 4096):
            shown += part
    except OSError:  # the shell has closed its end
        pass
    shell.wait(30)
    os.close(master)
    return shown.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    (folder / "script").write_text(pipeline.diffenc(pipeline.ROOT, "completion", "bash"))
    (folder / "fading.yaml").touch()
    return folder


@pytest.mark.parametrize(
    ("keys", "called"),
    [
        ("diffenc pla\tfad\t", "plan fading.yaml"),
        ("diffenc plan fading.yaml --tfl\t1", "plan fading.yaml --tflops 1"),
        ("diffenc figure heatmaps_f\t", "figure heatmaps_full"),
        ("diffenc train --stu\tfad\t", "train --study fading.yaml"),
    ],
)
def test_tab_completes_commands_options_names_and_files(folder, keys, called):
    shown = typed(folder, "source ./script", 'diffenc() { echo "called: $*."; }', keys)
    assert f"called: {called}" in shown, shown
