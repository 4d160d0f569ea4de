"""One cluster for all tests here, and checkouts as its users have them."""

import shutil
import tempfile
from pathlib import Path

import pytest
from cluster import Cluster
from user import check_out_on_site


@pytest.fixture(scope="session")
def cluster():
    """Two nodes with two GPUs each."""
    folder = Path(tempfile.mkdtemp(prefix="diffenc-slurm-"))  # pytest's own folders are closed to munge's user
    folder.chmod(0o755)
    with Cluster(folder) as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def checkout(cluster, tmp_path):
    """A checkout in which a user of the cluster changed the profiles' five lines."""
    return check_out_on_site(tmp_path / "checkout")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A test that fails shows the cluster and what Snakemake said."""
    report = yield
    if report.failed:
        there = item.funcargs
        if "cluster" in there:
            report.sections.append(("the cluster", there["cluster"].said()))
        if "checkout" in there and (log := there["checkout"] / "snakemake.log").exists():
            report.sections.append(("Snakemake", log.read_text()[-6000:]))
    return report
