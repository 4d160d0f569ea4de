"""This workflow in another, with a study of the other's; and what the catalogue of workflows asks for."""

import re
import shlex
from collections import Counter

import pytest
import yaml
from pipeline import ROOT, RUNS, STUDY, check_out, name, planned, snakemake

OTHER = """\
rule first:
    output: "first.txt"
    shell: "echo $DIFFENC_AGAIN > {{output}}"

module diffenc:
    snakefile: "{snakefile}"
    {more}

use rule * from diffenc exclude all

rule last:
    input: "first.txt", "results/small/index.html"
    output: "last.txt"
    shell: "cat {{input}} > {{output}}"
"""
DEPLOYED = """\
configfile: "config/config.yaml"

module diffenc:
    snakefile: "{snakefile}"
    config: config

use rule * from diffenc
"""


@pytest.fixture
def folder(tmp_path):
    """Of another workflow, without anything of ours but a study."""
    (tmp_path / "small.yaml").write_text(STUDY)
    return tmp_path


def write(folder, text, snakefile=ROOT / "workflow/Snakefile", **more):
    (folder / "Snakefile").write_text(text.format(snakefile=snakefile, **more))


def test_its_rules_stand_beside_the_other_s(folder):
    write(folder, OTHER, more='config: {"study": "small.yaml"}')
    said = snakemake(folder, "-np", "last").stdout.splitlines()
    rules = Counter(line for line in said if re.fullmatch(r"rule \w+:", line))
    assert (rules["rule train:"], rules["rule page:"], rules["rule first:"], rules["rule last:"]) == (
        len(RUNS),
        1,
        1,
        1,
    )
    commands = [shlex.split(line) for line in said if "--published" in line]
    published = {words[words.index("--published") + 1] for words in commands}
    assert {(folder / file).resolve() for file in published} == {(ROOT / "config/published.yaml").resolve()}


def test_the_study_is_what_the_other_is_configured_with(folder):
    """As the catalogue's tool writes it: by its own `configfile`, or by one on the command line."""
    write(folder, DEPLOYED)
    (folder / "config").mkdir()
    (folder / "config/config.yaml").write_text(STUDY.replace("name: small", "name: deployed"))
    assert "results/deployed/index.html" in snakemake(folder, "-n").stdout
    assert "results/small/index.html" in snakemake(folder, "-n", "--configfile=small.yaml").stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("config: {}", "module: has no study; name its file: `config:"),
        (
            'config: {"study": "none.yaml"}',
            "none.yaml: cannot be read (No such file or directory); name a study file",
        ),
        (
            'config: {"study": "small.yaml"}\n    prefix: "here"',
            "prefix: the commands write into results/small; take",
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(folder, more, said):
    write(folder, OTHER, more=more)
    ended = snakemake(folder, "-n", "last")
    assert ended.returncode != 0
    assert ended.stdout.splitlines()[-1].startswith(f"diffenc: error: {said}")


def test_what_is_forced_is_told_to_a_module_s_trainings(folder):
    """It is known only when the other workflow starts its jobs, whose handlers alone Snakemake calls."""
    write(folder, OTHER, more='config: {"study": "small.yaml"}')
    weights = "results/small/runs/digits/VDMv-2/fixed/seed1/model.safetensors"
    ended = snakemake(folder, "--cores", "1", "first.txt", "--forcerun", weights)
    assert ended.returncode == 0, ended.stdout
    assert (folder / "first.txt").read_text().split()[1:] == ["digits/VDMv-2/fixed/seed1"]


def test_the_catalogue_finds_what_it_asks_for(tmp_path):
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert {*usage} == {"mandatory-flags", "software-stack-deployment", "report"}
    flag, study = usage["mandatory-flags"]["flags"].split()
    assert (flag, (ROOT / study).is_file(), (ROOT / "config/README.md").is_file()) == ("--configfile", True, True)
    checkout = check_out(tmp_path / "checkout")
    jobs = planned(checkout, "--directory", ".test", "--configfile", ".test/config/config.yaml")
    assert jobs["train"] == sorted(map(name, RUNS))
