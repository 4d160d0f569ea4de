"""`make` in a checkout that was moved."""

import os
import shutil
import subprocess

import pipeline
import pytest


@pytest.mark.parametrize("moved", [True, False])
def test_an_environment_of_another_place_is_made_anew(tmp_path, moved):
    """Its scripts name an interpreter that is no longer there."""
    folder = os.path.realpath(tmp_path)
    shutil.copy(pipeline.ROOT / "Makefile", tmp_path)
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/requirements.lock").touch()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/.installed").write_text("/old/place" if moved else folder)
    ended = subprocess.run(["make", "help"], cwd=folder, capture_output=True, text=True, check=True)
    assert "test-slurm" in ended.stdout
    assert (tmp_path / ".venv").exists() != moved
