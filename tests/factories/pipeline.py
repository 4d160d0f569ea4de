"""Snakemake as a user calls it, in a folder that has the workflow, and what it plans."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("workflow", "config", "envs", "slurm", ".test", "CITATION.cff", "LICENSE")

STUDY = (ROOT / ".test/config/config.yaml").read_text()
SMALL = "--configfile=small.yaml"  # with "=", as what follows a blank would be files, too
RESULTS = "results/small"
RUNS = [("digits", model, "fixed", seed) for model in ("VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1") for seed in (1, 2)]


def place(run):
    """The folder of a run's files."""
    dataset, model, schedule, seed = run
    return f"{RESULTS}/runs/{dataset}/{model}/{schedule}/seed{seed}"


def name(run):
    """A run as `planned` gives it."""
    return "/".join(map(str, run))


def check_out(folder):
    """What a clone has of the workflow, and the small study."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_symlink() or source.is_file():
            shutil.copy2(source, folder, follow_symlinks=False)
        else:
            # without the default profile, which Snakemake would speak of
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("default"))
    (folder / "tests").mkdir(exist_ok=True)
    shutil.copytree(ROOT / "tests/parity", folder / "tests/parity", dirs_exist_ok=True)
    (folder / "small.yaml").write_text(STUDY)
    return folder


def snakemake(folder, *arguments):
    """The ended process; all that it prints is in `stdout`."""
    command = [sys.executable, "-m", "snakemake", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def planned(folder, *arguments):
    """{rule: its jobs, each by the values of its wildcards, as in digits/VDMv-2/fixed/1} of a dry run."""
    ended = snakemake(folder, "--dry-run", *arguments)
    assert ended.returncode == 0, ended.stdout
    jobs = {}
    for rule, body in re.findall(r"^rule (\w+):\n((?: {4}.*\n)*)", ended.stdout, re.MULTILINE):
        wildcards = re.search(r"^ {4}wildcards: (.*)$", body, re.MULTILINE)
        values = re.findall(r"=([^,]+)", wildcards[1]) if wildcards else []
        jobs.setdefault(rule, []).append("/".join(values))
    stated = re.search(r"^Job stats:\n.*\n[- ]+\n((?:\w+ +\d+\n)*)", ended.stdout, re.MULTILINE)
    counts = {rule: int(count) for rule, count in re.findall(r"(\w+) +(\d+)", stated[1] if stated else "")}
    counts.pop("total", None)
    assert Counter(counts) == Counter({rule: len(names) for rule, names in jobs.items()})
    return {rule: sorted(names) for rule, names in jobs.items()}


def diffenc(folder, *arguments):
    """What a command that succeeds prints."""
    command = [sys.executable, "-m", "diffenc", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
