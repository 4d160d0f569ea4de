"""One run on the GPUs of two nodes: the numbers of two processes on one machine."""

import json

import numpy as np
import pipeline
import yaml
from user import job_of, progress, running, trained_twice, until

STUDY = {
    "name": "nodes",
    "title": "One run on two nodes",
    "runs": [
        {
            "dataset": "digits",
            "models": ["DiffEnc-2-1"],
            "seeds": [1],
            "gpus": 2,
            "nodes": 2,
            "training": {"steps": 150, "batch": 16, "learning_rate": 0.002, "ema": 0.98, "log_every": 25},
        }
    ],
    "evaluation": {"passes": 1, "images": 50},
    "samples": {"count": 4, "steps": 10},
    "tables": ["seeds"],
    "figures": ["samples"],
}
RUN = "results/nodes/runs/digits/DiffEnc-2-1/fixed/seed1"


def test_two_nodes_and_two_processes_agree(cluster, checkout, tmp_path):
    here = pipeline.check_out(tmp_path / "here")
    (checkout / "nodes.yaml").write_text(yaml.safe_dump(STUDY))
    on_one = STUDY | {"runs": [STUDY["runs"][0] | {"nodes": 1}]}
    (here / "nodes.yaml").write_text(yaml.safe_dump(on_one))
    ended = pipeline.snakemake(here, "--cores", "2", "--configfile=nodes.yaml")
    assert ended.returncode == 0, ended.stdout
    with running(checkout, "--profile", "slurm", "--configfile", "nodes.yaml") as main:
        until(lambda: progress(checkout, RUN).get("step", 0) > 20)
        job = cluster.run("scontrol", "show", "job", job_of(cluster, ("digits", "DiffEnc-2-1", "fixed", "seed1")))
        assert "NumNodes=2" in job
        assert "NodeList=n[1-2]" in job
        assert "gres/gpu=2" in job
        cluster.run("scancel", job_of(cluster, ("digits", "DiffEnc-2-1", "fixed", "seed1")))
        assert main.wait(600) == 0, main.said()
    assert (here / RUN / "model.safetensors").read_bytes() == (checkout / RUN / "model.safetensors").read_bytes()
    attempts = progress(checkout, RUN)["attempts"]
    assert attempts[0]["ended"] == "SIGTERM"
    assert {attempt["processes"] for attempt in attempts} == {2}
    assert trained_twice(attempts) == 0
    bpd = [json.loads((folder / RUN / "evaluation.json").read_text())["bpd"] for folder in (here, checkout)]
    assert bpd[0] == bpd[1]
    samples = [np.load(folder / RUN / "samples.npz")["samples"] for folder in (here, checkout)]
    assert (samples[0] == samples[1]).all()
