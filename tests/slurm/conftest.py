"""One cluster for all tests here."""

import shutil
import tempfile
from pathlib import Path

import pytest
from cluster import Cluster


@pytest.fixture(scope="session")
def cluster():
    """Two nodes with two GPUs each."""
    folder = Path(tempfile.mkdtemp(prefix="diffenc-slurm-"))  # pytest's own folders are closed to munge's user
    folder.chmod(0o755)
    with Cluster(folder) as running:
        yield running
    shutil.rmtree(folder)


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
