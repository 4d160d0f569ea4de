"""Where the numbers of a study come from: versions, commit, checksums of data and weights."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import yaml

import diffenc
from diffenc import data
from diffenc.io.errors import UserError, make
from diffenc.io.files import sha256_of
from diffenc.study.stages import CHECKSUMS, CONFIG, MODEL
from diffenc.study.study import Study, run_folder

_PACKAGES = ("torch", "numpy", "snakemake")


class Data(NamedTuple):
    """A prepared data set: its release, and the sha256 of what it was made of and of both splits."""

    title: str
    release: str
    counts: str
    checksums: list[tuple[str, str]]


class Weights(NamedTuple):
    """A run's weights: their sha256, and where they are from."""

    run: str
    sha256: str
    origin: str


def versions() -> list[tuple[str, str]]:
    """What the page is made with."""
    found = [("diffenc", diffenc.__version__), ("Python", platform.python_version())]
    return found + [(name, version(name)) for name in _PACKAGES]


def commit(folder: Path | None = None) -> str:
    """The git commit of the code in a folder (the package's own), and whether it was changed since; or unknown."""
    folder = folder or Path(diffenc.__file__).parent
    # a package that was installed into some other repository's folder is not tracked there
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return "unknown: the code does not lie in a git repository"
    head = _git(folder, "rev-parse", "HEAD")
    if head is None:
        return "unknown: the repository has no commit"
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{head}, {'with changes that are not committed' if changed else 'unchanged'}"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None if it fails or is not there."""
    try:
        ended = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def datasets(study: Study, folder: Path, prepared: Path) -> list[Data]:
    """The study's data sets, from their manifests. Raises UserError if one is missing or damaged."""
    found = []
    for name in study.datasets:
        manifest = data.manifest(data.place(folder, prepared, name))
        splits = [(f"{split}.npy", manifest[split]["sha256"]) for split in ("train", "test")]
        counts = f"{manifest['train']['count']:,} training and {manifest['test']['count']:,} test images"
        checksums = [*splits, *sorted(manifest["originals"].items())]
        found.append(Data(study.spec(name).title, manifest["release"], counts, checksums))
    return found


def weights(study: Study, folder: Path) -> list[Weights]:
    """Every run's weights. Of those that are not here the checksum is said if it is on record."""
    known, found = recorded(folder / CHECKSUMS), []
    for run in study.all_runs:
        path = run_folder(folder, run) / MODEL
        origin = "trained here" if run in study.training else f"the authors' file, sha256 {_origin(path)}"
        if path.is_file():
            found.append(Weights(run.path, sha256_of(path), origin))
        else:
            sha256 = known.get(str(path.relative_to(folder)), "no checksum")
            found.append(Weights(run.path, sha256, f"{origin}; weights not here"))
    return found


def recorded(path: Path) -> dict[str, str]:
    """{file: its sha256}, as sha256sum wrote them; nothing if there is no such list."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines)}


def _origin(model: Path) -> str:
    """The sha256 of the file that a run's weights were taken from, as its configuration has it."""
    path = model.with_name(CONFIG)
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))["weights"]["sha256"]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {make(path)}")
    except (ValueError, yaml.YAMLError, KeyError, TypeError):
        raise UserError(f"{path}: is damaged, it does not say where the weights are from; {make(path)}")
