"""What a crate says of trainings that Snakemake did not run here, and of a cluster's."""

import json
from datetime import UTC, date, datetime

import pytest

from diffenc.reporting.release.citation import Citation
from diffenc.reporting.release.crate import write_crate
from diffenc.reporting.release.jobs import jobs
from diffenc.study.load import parse_study

STUDY = {
    "name": "small",
    "title": "Small",
    "runs": [{"dataset": "digits", "models": ["VDMv-2"], "seeds": [1], "training": {"steps": 20, "batch": 4}}],
    "tables": ["components"],
    "figures": [],
}
RUN = "runs/digits/VDMv-2/fixed/seed1"
AUTHORS = [{"family-names": "Lovelace", "given-names": "Ada", "orcid": "https://orcid.org/0000-0002-1825-0097"}]


def attempt(first, last, slurm_job, ended):
    rest = {"seconds": 60.0, "processes": 2, "host": "node-of-mine", "process": 4321}
    return {"first": first, "last": last, "slurm_job": slurm_job, "ended": ended, **rest}


@pytest.fixture
def entities(tmp_path):
    """{@id: entity} of a run that a cluster's job trained, was preempted and requeued."""
    study, folder, out = parse_study(STUDY, "small.yaml"), tmp_path / "results/small", tmp_path / "release"
    (folder / RUN).mkdir(parents=True)
    (folder / RUN / "cost.json").write_text(
        json.dumps({"device": "H100, bf16", "device_hours": 0.5, "peak_gib": 1.5, "attempts": 3})
    )
    (folder / RUN / "claims.json").write_text(json.dumps({"date": "2026-01-02T03:04:05+00:00", "claims": {}}))
    progress = {"state": "done", "step": 20, "steps": 20, "bpd": 3.0, "images_per_s": 1.0, "seconds_left": 0.0}
    progress |= {"device": "cuda", "peak_bytes": 1, "time": datetime(2026, 1, 2, 4, tzinfo=UTC).timestamp()}
    ends = [("77", "SIGTERM"), ("77", None), ("78", "done")]
    progress["attempts"] = [attempt(5 * i, 5 * i + 5, *one) for i, one in enumerate(ends)]
    (folder / RUN / "progress.json").write_text(json.dumps(progress))
    for file in ("study.yaml", "runs.csv", "index.html", "code/workflow/Snakefile", "code/diffenc/__init__.py"):
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        (out / file).write_text(file)
    citation = Citation("Small", "A small study.", AUTHORS, "MIT", None, date(2026, 2, 3))
    weights = {f"results/small/{RUN}/model.safetensors": "a" * 64}
    write_crate(study, citation, jobs(study, folder, []), weights, "diffenc 1", out)
    return {one["@id"]: one for one in json.loads((out / "ro-crate-metadata.json").read_text())["@graph"]}


def test_a_training_on_a_cluster(entities):
    training = entities[f"#job/results/small/{RUN}/model.safetensors"]
    assert (training["startTime"], training["endTime"]) == ("2026-01-02T03:04:05+00:00", "2026-01-02T04:00:00+00:00")
    assert [entities[one["@id"]]["value"] for one in training["identifier"]] == ["77", "78"]
    assert "Attempt 2: steps 5 to 10 in 60 s on 2 processes, nobody knows what ended it." in training["description"]
    cost = {entities[one["@id"]]["propertyID"]: entities[one["@id"]]["value"] for one in training["resourceUsage"]}
    assert cost == {"device_hours": "0.5", "peak_gib": "1.5"}
    said = json.dumps(entities)
    assert "node-of-mine" not in said
    assert "4321" not in said


def test_weights_that_are_not_here_are_named_by_their_checksum(entities):
    training = entities[f"#job/results/small/{RUN}/model.safetensors"]
    weights = entities[training["result"][0]["@id"]]
    assert (weights["@type"], weights["sha256"]) == ("CreativeWork", "a" * 64)
    evaluation = entities[f"#job/results/small/{RUN}/evaluation.json"]
    assert evaluation["object"] == {"@id": weights["@id"]}
    assert "python -m diffenc evaluate --model results/small/" in evaluation["description"]
    assert "startTime" not in evaluation


def test_no_engine_where_none_ran(entities):
    assert not [one for one in entities.values() if one["@type"] in ("OrganizeAction", "ControlAction")]


def test_authors_by_their_orcid(entities):
    author = entities["https://orcid.org/0000-0002-1825-0097"]
    assert (author["@type"], author["name"]) == ("Person", "Lovelace, Ada")
    assert entities["./"]["license"]["@id"] == "https://spdx.org/licenses/MIT"
