"""The paper's models on a real data set, by the commands that the pipeline runs."""

import json

import numpy as np
import pytest
import yaml

from diffenc.cli.main import main
from diffenc.data.catalog import DATASETS
from diffenc.zoo.build import build, parameters


@pytest.fixture(scope="module")
def fashion_mnist(tmp_path_factory, fashion_mnist_files):
    folder = tmp_path_factory.mktemp("data") / "fashion_mnist"
    main(["prepare", "fashion_mnist", "--files", str(fashion_mnist_files), "--out", str(folder)])
    return folder


@pytest.mark.parametrize("model", ["VDMv-8", "DiffEnc-8-2"])
def test_prepare_train_and_evaluate(fashion_mnist, tmp_path, model):
    training = {"steps": 10, "batch": 2, "learning_rate": 1e-3, "warmup": 2, "log_every": 5, "ema": 0.5}
    study = {
        "name": "fashion",
        "title": "Fashion-MNIST",
        "runs": [{"dataset": "fashion_mnist", "models": [model], "seeds": [1], "training": training}],
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    out, data = tmp_path / "run", str(fashion_mnist)
    run = ["--study", str(tmp_path / "study.yaml"), "--run", f"fashion_mnist/{model}/fixed/seed1"]
    main(["train", *run, "--data", data, "--out", str(out), "--device", "cpu"])
    lines = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10]
    assert lines[1]["total"] < lines[0]["total"]

    options = ["--passes", "2", "--images", "16", "--batch", "9", "--device", "cpu"]
    main(["evaluate", "--model", str(out), "--data", data, *options, "--out", str(out / "evaluation.json")])
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert (evaluation["images"], evaluation["passes"], evaluation["steps"]) == (16, 2, 10)
    assert evaluation["parameters"] == parameters(build(model, DATASETS["fashion_mnist"], "fixed"))
    assert 0 < evaluation["bpd"]["total"]["mean"] < lines[0]["total"]
    with np.load(out / "evaluation.npz") as terms:
        assert terms["diffusion"].shape == (2, 16)
        total = sum(terms[name].mean() for name in ("diffusion", "latent", "reconstruction"))
    assert evaluation["bpd"]["total"]["mean"] == pytest.approx(total, rel=1e-5)
