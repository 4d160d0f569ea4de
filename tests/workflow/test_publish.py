"""`diffenc publish`: a release that describes itself, and from which tables and page are made again."""

import hashlib
import json
import os
import random
import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from pipeline import RESULTS, RUNS, diffenc, planned, snakemake

from diffenc import load
from diffenc.study.stages import FILES

PATHS = [f"{dataset}/{model}/{schedule}/seed{seed}" for dataset, model, schedule, seed in RUNS]


@pytest.fixture(scope="module")
def release(made, tmp_path_factory):
    """The small study's, and what the command said."""
    out = tmp_path_factory.mktemp("release") / "small"
    said = diffenc(made, "publish", RESULTS, "--out", out)
    assert f"{out}: " in said
    assert "the weights of 6 of 6 runs" in said
    assert "Nothing was uploaded." in said
    return out


@pytest.fixture(scope="module")
def entities(release):
    """{@id: entity} of the crate."""
    crate = json.loads((release / "ro-crate-metadata.json").read_text())
    found = {one["@id"]: one for one in crate["@graph"]}
    assert len(found) == len(crate["@graph"])
    return found


def listed(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def of(entities, one, key):
    """The entities that a property of one names."""
    return [entities[value["@id"]] for value in listed(one.get(key))]


def typed(entities, kind):
    return [one for one in entities.values() if kind in listed(one["@type"])]


def test_tables_and_page_are_made_again_from_the_release_alone(release, tmp_path):
    """With the workflow and package that are in it, from a copy whose files have any times."""
    folder = shutil.copytree(release / "code", tmp_path / "again")
    copy = shutil.copytree(release, folder / RESULTS)
    shutil.rmtree(copy / "tables")
    for file in ("index.html", "runs.csv", "tests.csv"):
        (copy / file).unlink()
    files = [file for file in copy.rglob("*") if file.is_file() and file.suffix not in (".svg", ".png")]
    for file, seconds in zip(files, random.Random(0).sample(range(1, len(files) + 1), len(files)), strict=True):
        os.utime(file, (time.time() - seconds,) * 2)
    study = f"--configfile={RESULTS}/study.yaml"
    jobs = planned(folder, study)
    assert not {"prepare", "train", *FILES} & jobs.keys()
    assert len(jobs["table"]) == 3
    ended = snakemake(folder, "--cores", "2", "--show-failed-logs", study)
    assert ended.returncode == 0, ended.stdout
    tables = [path.relative_to(release) for path in (release / "tables").rglob("*") if path.is_file()]
    assert len(tables) == 3 * 5 + 2
    for path in ("runs.csv", "tests.csv", *tables):
        assert (copy / path).read_bytes() == (release / path).read_bytes(), path
    assert diffenc(folder, "verify", RESULTS).endswith("fit\n")


def test_a_model_is_that_of_the_study(made, release):
    images = np.load(made / "results/data/digits/test.npy")[:4]
    place = f"weights/{PATHS[-1]}"
    ours, theirs = (
        load(folder).bits_per_dimension(images, passes=1)
        for folder in (release / place, made / RESULTS / f"runs/{PATHS[-1]}")
    )
    np.testing.assert_array_equal(ours, theirs)
    for path in PATHS:
        found = json.loads((release / f"runs/{path}/evaluation.json").read_text())
        total = found["bpd"]["total"]
        card = (release / f"weights/{path}/README.md").read_text()
        assert f"| total | {total['mean']:.4f} | {total['mc_se']:.4f} |" in card
        assert yaml.safe_load(card.split("---")[1])["license"] == "apache-2.0"
    sums = dict(reversed(line.split("  ")) for line in (release / "weights.sha256").read_text().splitlines())
    assert sums == {
        f"runs/{path}/model.safetensors": hashlib.sha256(
            (release / f"weights/{path}/model.safetensors").read_bytes()
        ).hexdigest()
        for path in PATHS
    }


def test_the_crate_has_every_file_as_it_is(release, entities):
    files = {str(path.relative_to(release)): path for path in release.rglob("*") if path.is_file()}
    described = {one["@id"]: one for one in typed(entities, "File")}
    others = {file for file in files if file.startswith("code/diffenc/")} | {"ro-crate-metadata.json"}
    assert "code/diffenc/" in entities
    assert described.keys() == files.keys() - others
    for file, one in described.items():
        content = files[file].read_bytes()
        assert (one["sha256"], one["contentSize"]) == (hashlib.sha256(content).hexdigest(), str(len(content))), file


def test_every_reference_of_the_crate_leads_somewhere(entities):
    def references(value):
        if isinstance(value, dict):
            return [value["@id"]]
        return [one for part in value for one in references(part)] if isinstance(value, list) else []

    for one in entities.values():
        for key, value in one.items():
            inside = {name for name in references(value) if not name.startswith("https://")}
            assert inside <= entities.keys(), (one["@id"], key)


def test_the_crate_has_what_its_profile_requires(entities):
    root = entities["./"]
    profiles = [one["@id"] for one in of(entities, root, "conformsTo")]
    assert {f"https://w3id.org/ro/wfrun/{kind}/0.5" for kind in ("process", "workflow", "provenance")} < {*profiles}
    assert all(root[key] for key in ("name", "description", "datePublished", "license"))
    (workflow,) = of(entities, root, "mainEntity")
    assert {*workflow["@type"]} >= {"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"}
    assert of(entities, workflow, "programmingLanguage")
    actions, tools = typed(entities, "CreateAction"), of(entities, workflow, "hasPart")
    used = [one["@id"] for action in actions for one in of(entities, action, "instrument")]
    assert len(used) == len(actions)
    assert {*used} == {workflow["@id"], *(tool["@id"] for tool in tools)}
    steps = typed(entities, "HowToStep")
    assert steps == of(entities, workflow, "step")
    assert [of(entities, step, "workExample")[0]["@id"] for step in steps] == [tool["@id"] for tool in tools]
    (engine,) = typed(entities, "OrganizeAction")
    controls = typed(entities, "ControlAction")
    assert of(entities, engine, "object") == controls
    assert of(entities, engine, "instrument")[0]["name"] == "snakemake"
    assert of(entities, engine, "result")[0]["instrument"]["@id"] == workflow["@id"]
    for control in controls:
        assert of(entities, control, "instrument")[0] in steps
        assert of(entities, control, "object")[0] in actions


def test_the_crate_has_every_job_that_snakemake_ran(made, release, entities):
    """By its command and times, what it read and what it made."""
    rules = re.findall(r"^\[\d+/\d+\] (\w+)", (made / "said").read_text(), re.MULTILINE)
    ran = {rule for rule in rules if rule not in ("all", "report")}
    found = [one for one in typed(entities, "CreateAction") if one["@id"] != "#run"]
    assert {one["instrument"]["@id"].rpartition("/")[2] for one in found} >= {"prepare", "train", "evaluate", "page"}
    assert ran <= {one["instrument"]["@id"].rpartition("/")[2] for one in found}
    assert all(one["startTime"] <= one["endTime"] for one in found)
    trainings = {one["@id"]: one for one in found if one["instrument"]["@id"] == "#tool/train"}
    assert len(trainings) == len(RUNS)
    for path in PATHS:
        one = trainings[f"#job/{RESULTS}/runs/{path}/model.safetensors"]
        assert f"python -m diffenc train --run {path} " in one["description"]
        assert f"weights/{path}/model.safetensors" in [value["@id"] for value in one["result"]]
        images = entities["#file/results/data/digits/train.npy"]
        assert images in of(entities, one, "object")
        assert images["sha256"] == json.loads((release / "data/digits/manifest.json").read_text())["train"]["sha256"]
        hours = [
            value["value"] for value in of(entities, one, "resourceUsage") if value["propertyID"] == "device_hours"
        ]
        cost = json.loads((made / RESULTS / f"runs/{path}/cost.json").read_text())
        assert hours == [str(cost["device_hours"])]


def test_every_number_of_the_tables_has_its_macro(release):
    lines = (release / "numbers.tex").read_text().splitlines()
    macros = re.findall(
        r"^\\expandafter\\def\\csname diffenc:([\w./+-]+)\\endcsname\{(.*)\}$", "\n".join(lines), re.MULTILINE
    )
    found = dict(macros)
    assert len(found) == len(macros) == sum(line.startswith(r"\expandafter") for line in lines)
    components = pd.read_csv(release / "tables/digits/components.csv")
    for row in components.to_dict("records"):
        key = f"components/digits/{row['schedule']}/{row['model']}/total"
        assert found[key] == rf"{row['total']:.3f} $\pm$ {row['total_se']:.3f}"
        assert (found[f"{key}/1"], found[f"{key}/2"]) == (f"{row['total']:.3f}", f"{row['total_se']:.3f}")
        assert found[f"components/digits/{row['schedule']}/{row['model']}/parameters/1"] == str(row["parameters"])
    runs = pd.read_csv(release / "runs.csv")
    for row in runs[runs["term"] == "total"].to_dict("records"):
        assert found[f"seeds/digits/fixed/{row['model']}/{row['seed']}/total/1"] == f"{row['bpd']:.3f}"
    for row in pd.read_csv(release / "tables/digits/comparisons.csv").to_dict("records"):
        key = f"comparisons/digits/fixed/{row['lower']}-lt-{row['than']}/{row['term']}/difference-95-percent-CI"
        numbers = [float(found[f"{key}/{i}"]) for i in (1, 2, 3)]
        assert numbers == [round(row[column], 4) for column in ("difference", "ci95_low", "ci95_high")]


def test_who_made_it_is_the_checkout_s(release):
    content = yaml.safe_load((release / "CITATION.cff").read_text())
    assert (content["title"], content["type"]) == ("A small study", "dataset")
    assert content["references"][0]["title"].startswith("DiffEnc")
    zenodo = json.loads((release / ".zenodo.json").read_text())
    assert [one["name"] for one in zenodo["creators"]] == [one["name"] for one in content["authors"]]
