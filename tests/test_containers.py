"""The two container definitions: of the same image, the same files, the same script."""

import re
import subprocess

import pipeline

DOCKER = (pipeline.ROOT / "envs/Dockerfile").read_text()
APPTAINER = (pipeline.ROOT / "envs/apptainer.def").read_text()


def test_both_take_the_same_files_into_the_same_image():
    copied = dict(re.findall(r"^    (\S+) (/opt/diffenc/\S+)$", APPTAINER, re.MULTILINE))
    assert copied == {name: f"/opt/diffenc/{name}" for name in copied}
    kept = re.findall(r"^!(\S+)$", (pipeline.ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(kept)
    assert all((pipeline.ROOT / name).exists() for name in kept)
    assert (
        re.search(r"^FROM (\S+)$", DOCKER, re.MULTILINE)[1] == re.search(r"^From: (\S+)$", APPTAINER, re.MULTILINE)[1]
    )


def test_both_install_the_lock_and_start_the_rules():
    for definition in (DOCKER, APPTAINER):
        assert "/opt/diffenc/envs/install.sh\n" in definition
        assert re.search(r'snakemake"?,? "?--snakefile"?,? "?/opt/diffenc/workflow/Snakefile', definition)
    subprocess.run(["sh", "-n", "envs/install.sh"], cwd=pipeline.ROOT, check=True)
