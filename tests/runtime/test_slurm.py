"""What a training asks of SLURM, of an scontrol that answers as SLURM's own; the real one is in tests/slurm."""

import sys

import pytest

from diffenc.runtime import slurm

# lines of SLURM 22.05's, and of 23.11's, of a job with two GPUs, cpus_per_gpu 4 and mem_mb_per_cpu 4000
OLD = """\
JobId=7 JobName=x
   RunTime=00:00:16 TimeLimit=1-00:30:00 TimeMin=N/A
   NumNodes=1 NumCPUs=8 NumTasks=1 CPUs/Task=1 ReqB:S:C:T=0:0:*:*
   TRES=cpu=8,mem=32000M,node=1,billing=8,gres/gpu=2
   MinCPUsNode=1 MinMemoryCPU=4000M MinTmpDiskNode=0
   CpusPerTres=gres:gpu:4
"""
NEW = OLD.replace("   TRES=", "   ReqTRES=cpu=1,mem=4000M,node=1,gres/gpu=2\n   AllocTRES=")
UNLIMITED = OLD.replace("1-00:30:00", "UNLIMITED").replace("mem=32000M,", "")


@pytest.fixture
def job(tmp_path, monkeypatch):
    """job(text): within a job of which scontrol says that."""

    def job(text):
        (tmp_path / "scontrol").write_text(f"#!{sys.executable}\nprint({text!r})\n")
        (tmp_path / "scontrol").chmod(0o755)

    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PATH", str(tmp_path))
    return job


@pytest.mark.parametrize("text", [OLD, NEW])
def test_what_a_process_was_given(job, text):
    job(text)
    assert slurm.given(2) == {"memory_gib": 15.625, "hours": 24.5, "cpus": 4.0}


def test_what_has_no_limit(job):
    job(UNLIMITED)
    assert slurm.given(1) == {"memory_gib": None, "hours": None, "cpus": 8.0}


def test_without_an_answer_nothing_is_known(job, monkeypatch, tmp_path):
    assert slurm.given(1) is None  # no scontrol
    (tmp_path / "scontrol").write_text("#!/bin/sh\nexec /bin/sleep 5\n")
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setattr(slurm, "SECONDS_TO_ANSWER", 0.05)
    assert slurm.given(1) is None
    job(OLD)
    monkeypatch.delenv("SLURM_JOB_ID")
    assert slurm.given(1) is None
