"""How long Snakemake takes to plan the paper's study, and one of 1,000 runs, with the SLURM profile.

python benchmarks/planning.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
THOUSAND = {
    "name": "thousand",
    "title": "A study of 1,000 runs",
    "runs": [
        {
            "dataset": dataset,
            "models": ["VDMv-8", "VDM-8", "DiffEnc-8-2", "DiffEnc-8-nt", "VDMv-32"],
            "schedule": schedule,
            "seeds": list(range(50)),
            "training": {"steps": 1000000},
        }
        for dataset in ("mnist", "cifar10")
        for schedule in ("fixed", "learned")
    ],
}


def seconds_to_plan(study: Path, folder: str) -> float:
    """Of a dry run in an empty folder."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--dry-run",
        "--quiet",
        "--snakefile",
        str(ROOT / "workflow/Snakefile"),
    ]
    options = ["--directory", folder, "--profile", str(ROOT / "slurm"), "--configfile", str(study)]
    start = time.monotonic()
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def main() -> None:
    """Plan both."""
    with tempfile.TemporaryDirectory() as folder:
        thousand = Path(folder, "thousand.yaml")
        thousand.write_text(yaml.safe_dump(THOUSAND))
        for name, study in {"the paper, 93 runs": ROOT / "config/paper.yaml", "1,000 runs": thousand}.items():
            print(f"{name}: {seconds_to_plan(study, folder):.1f} s")


if __name__ == "__main__":
    main()
