"""Starting processes on the nodes of a SLURM job: what srun is asked for. The real one is in tests/slurm."""

import json
import os
import socket
import subprocess
import sys

import pytest

from diffenc.io.errors import UserError
from diffenc.runtime.launch import _config, launch

SRUN = f"""#!{sys.executable}
import json, os, sys
json.dump({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}, open("asked.json", "w"))
"""
LAUNCH = "from diffenc.runtime.launch import launch; launch(['train', '--run', 'x'], 4, 2)"


@pytest.fixture
def job(tmp_path):
    """The environment of a job with two GPUs on each of two nodes, and an srun that notes what it is asked for."""
    (tmp_path / "srun").write_text(SRUN)
    (tmp_path / "srun").chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "SLURM_GPUS": "h100:4", "CUDA_VISIBLE_DEVICES": "0,1"}
    return os.environ | job | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def asked(job, tmp_path):
    """What `launch` asks of srun, which takes its place."""
    subprocess.run([sys.executable, "-c", LAUNCH], cwd=tmp_path, env=job, check=True)
    return json.loads((tmp_path / "asked.json").read_text())


def test_one_task_a_node_with_all_of_its_gpus(job, tmp_path):
    srun = asked(job, tmp_path)
    options = srun["arguments"][: srun["arguments"].index(sys.executable)]
    assert {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--gpus-per-node=2"} <= set(options)
    assert srun["arguments"][len(options) :] == [sys.executable, "-m", "diffenc", "train", "--run", "x"]
    # what the job asked for is not asked for again
    assert {name for name in srun["environment"] if name.startswith("SLURM_")} == {"SLURM_JOB_ID"}
    # the tasks know that they are not to start srun once more
    assert srun["environment"]["DIFFENC_NODE"] == "1"


def test_a_job_without_gpus(job, tmp_path):
    assert not any("gpus" in option for option in asked(job | {"CUDA_VISIBLE_DEVICES": ""}, tmp_path)["arguments"])


def test_several_nodes_outside_of_a_job(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(UserError, match="--nodes 2: there is no SLURM job here; run inside of one of 2 nodes"):
        launch(["train"], 2, 2)


def test_processes_of_one_machine_meet_without_its_name(monkeypatch):
    """It may be in no DNS: torch would ask for it, and wait."""

    def unknown(*_):
        raise socket.gaierror(-2, "Name or service not known")

    for name in ("getfqdn", "gethostbyname", "getaddrinfo"):
        monkeypatch.setattr(socket, name, unknown)
    config = _config(2, 1, "logs")
    assert (config.rdzv_endpoint, config.local_addr) == ("127.0.0.1:0", "127.0.0.1")
