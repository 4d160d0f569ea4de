"""Commands beside each other take different GPUs."""

import subprocess
import sys

import pytest

from diffenc.runtime import gpu_lock

TAKE = (
    "import sys; from diffenc.runtime.gpu_lock import take;"
    " print(take(int(sys.argv[1]), sys.argv[2].split(',')), flush=True)"
)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Another command, which takes GPUs and keeps them until it is told to end."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    started = []

    def start(count, names):
        one = subprocess.Popen(
            [sys.executable, "-c", f"{TAKE}; sys.stdin.read()", str(count), names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(one)
        return one, eval(one.stdout.readline())

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_each_takes_free_ones_and_shares_when_none_is_left(command):
    first, taken = command(1, "0,1,2")
    assert taken == [0]
    _, taken = command(2, "0,1,2")
    assert taken == [1, 2]
    _, taken = command(1, "0,1,2")
    assert taken == [0]
    # GPUs are told apart by their names, not by their places
    _, taken = command(1, "2,MIG-GPU-5f/1/0")
    assert taken == [1]
    first.kill()
    first.communicate()
    _, taken = command(2, "0,1,4")
    assert taken == [0, 2]


def test_names_are_those_of_the_environment(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,MIG-GPU-5f/1/0,-1")
    assert gpu_lock.names() == ["3", "MIG-GPU-5f/1/0"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpu_lock.names() == ["0", "1"]
