"""One small study, made once; every test that changes something works on a copy."""

import shutil

import pipeline
import pytest


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder in which everything of the small study was made, its report too."""
    folder = pipeline.check_out(tmp_path_factory.mktemp("made") / "clone")
    ended = pipeline.snakemake(folder, "--cores", "2", "--show-failed-logs", pipeline.SMALL, "all", "report")
    assert ended.returncode == 0, ended.stdout
    (folder / "said").write_text(ended.stdout)
    return folder


@pytest.fixture
def copy(made, tmp_path):
    """A copy of that folder."""
    folder = shutil.copytree(made, tmp_path / "copy")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def clone(tmp_path):
    """A folder in which nothing was made yet."""
    return pipeline.check_out(tmp_path / "clone")
