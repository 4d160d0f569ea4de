"""The wheel, in an environment that has what the lock has and nothing of this checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pipeline
import pytest


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", out]
    subprocess.run(command, cwd=pipeline.ROOT, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs a program of an environment in which the wheel was installed, in an empty folder."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", with_pip=False)
    scripts = folder / "venv/bin"
    install = ["uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--python", scripts / "python", wheel]
    subprocess.run([sys.executable, "-m", *install], check=True)
    # packages of a folder that is named in a .pth are found, the .pth files in it (this checkout's) are not read
    place = next((folder / "venv/lib").glob("python*/site-packages"))
    (place / "locked.pth").write_text(sysconfig.get_path("purelib"))
    (folder / "empty").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DIFFENC"))}

    def run(program, *arguments):
        return subprocess.run(
            [scripts / program, *arguments], cwd=folder / "empty", env=environment, capture_output=True, text=True
        )

    return run


def test_it_has_all_of_the_package_and_the_studies(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "diffenc", "config"]
    listed = subprocess.run(command, cwd=pipeline.ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert packed == {f"diffenc/{name}" if name.startswith("config/") else name for name in listed}


def test_it_plans_the_demo_that_comes_with_it(installed):
    assert installed("diffenc", "--version").stdout.startswith("diffenc ")
    where = installed("python", "-c", "import diffenc; print(diffenc.__file__)").stdout
    assert "environment" in where
    assert str(pipeline.ROOT) not in where
    ended = installed("diffenc", "plan", "demo")
    assert "DiffEnc-2-1" in ended.stdout, ended.stderr
    assert installed("diffenc", "plan", "none").stderr.startswith("diffenc: error: none: cannot be read")


ONE_RUN = """\
import sys
from pathlib import Path
from diffenc.cli.main import main

RUN = "digits/VDMv-2/fixed/seed1"
FOLDER = f"results/small/runs/{RUN}"
Path("small.yaml").write_text(sys.argv[1])
main("prepare digits --out results/data/digits".split())
main(f"train --study small.yaml --run {RUN} --data results/data/digits --out {FOLDER}".split())
main(f"evaluate --model {FOLDER} --data results/data/digits --images 4 --out {FOLDER}/evaluation.json".split())
main("table components --study small.yaml --dataset digits --out results/components".split())
print(Path("results/components.md").read_text())
"""


def test_a_run_goes_from_its_data_to_a_table_without_the_checkout(installed):
    """Published numbers and notes come with it, too."""
    study = """
name: small
title: A small study
runs: [{dataset: digits, models: [VDMv-2], seeds: [1], training: {steps: 2, batch: 4, ema: 0}}]
evaluation: {images: 4}
"""
    ended = installed("python", "-c", ONE_RUN, study)
    assert "VDMv-2" in ended.stdout, ended.stderr
