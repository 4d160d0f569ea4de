"""The pages in docs/ and the README, held against what there is."""

import importlib
import re
import subprocess
import sys
import tomllib

import pipeline
import pytest
import yaml

PAGES = [pipeline.ROOT / "README.md", pipeline.ROOT / "CHANGELOG.md", *sorted((pipeline.ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_to_is_there(page):
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / target).exists(), target
    for target in re.findall(r"`(tests/[\w/.]+\.py)", text):
        assert (pipeline.ROOT / target).exists(), target
    assert page.name != "README.md" or len(text.splitlines()) <= 120


def test_what_the_package_names_of_itself_is_there():
    """In docstrings, comments and pages: files, modules, and what is in them."""
    sources = [
        path for folder in ("diffenc", "docs", "config", "workflow") for path in (pipeline.ROOT / folder).rglob("*")
    ]
    texts = [path.read_text() for path in [*sources, *PAGES] if path.suffix in (".py", ".md", ".smk")]
    for name in {name for text in texts for name in re.findall(r"`(diffenc(?:\.\w+)+)`", text)}:
        parent, _, last = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ImportError:
            owner, _, inner = parent.rpartition(".")
            try:
                found = importlib.import_module(parent)
            except ImportError:
                found = getattr(importlib.import_module(owner), inner)
            assert hasattr(found, last), name
    for file in {name for text in texts for name in re.findall(r"`(diffenc/[\w/]+\.py)`", text)}:
        assert (pipeline.ROOT / file).exists(), file


def test_the_version_is_the_project_s_and_has_its_changes():
    project = tomllib.loads((pipeline.ROOT / "pyproject.toml").read_text())["project"]
    assert pipeline.diffenc(pipeline.ROOT, "--version") == f"diffenc {project['version']}\n"
    newest = re.search(r"^## (\S+) - \d{4}-\d\d-\d\d$", (pipeline.ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[1] == project["version"]


def test_the_conda_environment_has_what_the_package_needs():
    """Under conda's names; Snakemake is outside it."""
    project = tomllib.loads((pipeline.ROOT / "pyproject.toml").read_text())["project"]
    conda = {"matplotlib": "matplotlib-base", "msgpack": "msgpack-python", "torch": "pytorch"}
    wanted = [re.match(r"([\w.-]+)(.*)", one).groups() for one in project["dependencies"] if "snakemake" not in one]
    *found, last = yaml.safe_load((pipeline.ROOT / "envs/environment.yaml").read_text())["dependencies"]
    expected = {f"{conda.get(name, name)} {version}" for name, version in wanted}
    assert {*found, *last["pip"]} - {"pip"} == expected | {f"python {project['requires-python']}"}


def test_a_machine_without_the_rest_needs_what_usage_says():
    """All that `benchmarks/train_study.py` calls is imported where only the packages that docs/usage.md names are."""
    page = " ".join((pipeline.ROOT / "docs/usage.md").read_text().split())
    named = re.split(r", | and ", re.search(r"original files and Python with ([\w\s,.]+)\.(?: |$)", page)[1])
    project = tomllib.loads((pipeline.ROOT / "pyproject.toml").read_text())["project"]
    ours = {re.match(r"[\w.-]+", one)[0] for one in project["dependencies"]} - {"typing-extensions"}
    assert set(named) <= ours
    spelling = {"pyyaml": "yaml", "scikit-learn": "sklearn"}
    absent = [spelling.get(name, name.replace("-", "_")) for name in sorted(ours - {*named})]
    code = f"""
import sys
sys.path.insert(0, "benchmarks")
sys.modules |= dict.fromkeys({absent})
import train_study
from diffenc.cli import evaluate, train
from diffenc.cli.main import main
from diffenc.evaluation import elbo, encoder_analysis, finite_depth, samples
from diffenc.training import trainer
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=pipeline.ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
