"""One cluster for all tests here, and the study that runs beside others on a node of its own."""

import shutil
import tempfile
from pathlib import Path

import pytest
import yaml
from cluster import Cluster
from user import MEMORY_MB_PER_CPU, adapt, check_out_on_site, running

# beside 0.15 GB of the job's own Snakemake the first run takes 0.7 GB, the second 1.9; with 4 CPUs' memory both are
# killed, with twice as much the second is
SHORT = {"steps": 6, "log_every": 2, "precision": "float32"}
STUDY = {
    "name": "memory",
    "title": "A study that has too little memory",
    "runs": [
        {"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "training": SHORT | {"batch": 8}},
        {"dataset": "digits", "models": ["DiffEnc-2-nt"], "seeds": [1], "training": SHORT | {"batch": 1400}},
    ],
}


@pytest.fixture(scope="session")
def cluster():
    """Two nodes with two GPUs each."""
    folder = Path(tempfile.mkdtemp(prefix="diffenc-slurm-"))  # pytest's own folders are closed to munge's user
    folder.chmod(0o755)
    with Cluster(folder) as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def short_of_memory(cluster, tmp_path_factory):
    """(checkout, Snakemake in it) of that study: it waits most of its time, which others may use."""
    checkout = check_out_on_site(tmp_path_factory.mktemp("memory") / "checkout")
    adapt(checkout, "slurm", slurm_partition="apart")
    profile = checkout / "workflow/profiles/slurm/config.yaml"
    assert "mem_mb_per_cpu: 4000 * min(attempt, 2)\n" in profile.read_text()
    profile.write_text(profile.read_text().replace("mem_mb_per_cpu: 4000", f"mem_mb_per_cpu: {MEMORY_MB_PER_CPU}"))
    (checkout / "memory.yaml").write_text(yaml.safe_dump(STUDY))
    weights = [
        f"results/memory/runs/digits/{group['models'][0]}/fixed/seed1/model.safetensors" for group in STUDY["runs"]
    ]
    with running(checkout, *weights, "--profile", "slurm", "--configfile", "memory.yaml") as snakemake:
        yield checkout, snakemake


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A test that fails shows the cluster and what Snakemake said."""
    report = yield
    if report.failed:
        there = item.funcargs
        if "cluster" in there:
            report.sections.append(("the cluster", there["cluster"].said()))
        folders = [there[name] for name in ("checkout", "tmp_path") if name in there]
        for log in (log for folder in folders for log in folder.rglob("snakemake.log")):
            report.sections.append((str(log), log.read_text()[-6000:]))
    return report
