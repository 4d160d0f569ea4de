"""Made-up results of the real layout, for the tests of what is shown of them."""

import json

import numpy as np

from diffenc.study.load import parse_study
from diffenc.study.settings import Training
from diffenc.study.stages import COST, EVALUATION, HISTORY
from diffenc.study.study import run_folder

BASE = {"VDMv-2": 2.64, "DiffEnc-2-1": 2.62, "DiffEnc-2-nt": 2.70}


def study(seeds=(1, 2, 3), schedules=("fixed",), comparisons=True):
    """A small study on digits; its three models under each of the schedules."""
    group = {"dataset": "digits", "models": list(BASE), "seeds": list(seeds), "training": {"steps": 100}}
    tests = [
        {"dataset": "digits", "lower": "DiffEnc-2-1", "than": "VDMv-2"},
        {"dataset": "digits", "lower": "DiffEnc-2-nt", "than": "VDMv-2"},
        {"dataset": "digits", "lower": "DiffEnc-2-1", "than": "DiffEnc-2-nt"},
    ]
    content = {
        "name": "small",
        "title": "Small",
        "runs": [group | {"schedule": schedule} for schedule in schedules],
        "comparisons": tests if comparisons else [],
    }
    return parse_study(content, "small.yaml")


def evaluation(run, study_name="small", passes=10, steps=100, training=None):
    """The content of a run's evaluation.json: latent and reconstruction vary over seeds for DiffEnc-2-1 only."""
    rng = np.random.default_rng([run.seed, len(run.model)])
    wobble = 0.001 * rng.standard_normal(3) * [1, run.model == "DiffEnc-2-1", run.model == "DiffEnc-2-1"]
    diffusion, latent, reconstruction = np.array([BASE[run.model] - 0.012, 0.002, 0.01]) + wobble
    bpd = {"diffusion": diffusion, "latent": latent, "reconstruction": reconstruction}
    bpd = {"total": sum(bpd.values())} | bpd
    t = (np.arange(20) + 0.5) / 20
    density = diffusion * 12 * np.exp(-12 * t) * (1 + 0.02 * rng.standard_normal(20))
    return {
        "study": study_name,
        **run._asdict(),
        "release": "scikit-learn's copy of the UCI test set",
        "protocol": "full",
        "evaluation_seed": 0,
        "training": training or Training(steps=steps).results(),
        "passes": passes,
        "images": 300,
        "steps": steps,
        "parameters": 123_456 + len(run.model),
        "gamma_0": -13.3 - (run.schedule == "learned") * 0.1 * run.seed,
        "gamma_1": 5.0 + (run.schedule == "learned") * 0.2 * run.seed,
        "bpd": {term: {"mean": mean, "mc_se": 0.002} for term, mean in bpd.items()},
        "loss_per_t": [
            {"t": a, "diffusion": b, "se": 0.1, "n": 150} for a, b in zip(t.tolist(), density.tolist(), strict=True)
        ],
    }


def history(run, steps=20, every=50):
    """The lines of a run's history.jsonl."""
    rng = np.random.default_rng(run.seed)
    lines = []
    for step in range(every, (steps + 1) * every, every):
        diffusion = BASE[run.model] + 12 * np.exp(-step / 90) + 0.05 * rng.standard_normal()
        bpd = {"total": diffusion + 0.012, "diffusion": diffusion, "latent": 0.002, "reconstruction": 0.01}
        lines.append(json.dumps({"step": step, "epoch": step / 23, **bpd, "gamma_0": -13.3, "gamma_1": 5.0}))
    return "\n".join(lines) + "\n"


COSTS = {"device": "NVIDIA H100 80GB HBM3", "device_hours": 0.0, "peak_gib": 12.5, "attempts": 3}


def write_results(study, folder):
    """Every run's evaluation.json, cost.json and history.jsonl below `folder`, as results/STUDY has them."""
    for run in study.training:
        place = run_folder(folder, run)
        place.mkdir(parents=True)
        (place / EVALUATION).write_text(json.dumps(evaluation(run)))
        (place / COST).write_text(json.dumps(COSTS | {"device_hours": 0.5 * run.seed}))
        (place / HISTORY).write_text(history(run))
    return folder


def digits(count=6):
    """(images, levels): real digits, uint8 of shape (count, 1, 8, 8), with 17 levels."""
    from sklearn.datasets import load_digits

    return load_digits().images[:count, None].astype(np.uint8), 17


def colours(count=6):
    """(images, levels): smooth made-up colour images, uint8 of shape (count, 3, 32, 32)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:32, 0:32] / 32
    waves = rng.uniform(1, 4, (count, 3, 2)) @ np.stack([y, x]).reshape(2, -1)
    images = 127.5 * (1 + np.sin(2 * np.pi * waves + rng.uniform(0, 6, (count, 3, 1))))
    return images.reshape(count, 3, 32, 32).astype(np.uint8), 256


def write_encodings(path, images, levels):
    """An encodings.npz: x_t = alpha_t^2 x + sigma_t^2 y with a smooth y that depends on the image."""
    t = np.unique(np.round([*np.linspace(0, 1, 11), 0.92, 0.94, 0.96, 0.98], 2))
    x = 2 * (images + 0.5) / levels - 1
    gamma = -13.3 + 18.3 * t
    sigma2 = (1 / (1 + np.exp(-gamma)))[:, None, None, None, None]
    blurred = (x + np.roll(x, 1, -1) + np.roll(x, 1, -2) + np.roll(x, -1, -1) + np.roll(x, -1, -2)) / 5
    y = np.tanh(1.5 * blurred * (1 + 0.1 * gamma[:, None, None, None, None]))
    x_t = (1 - sigma2) * x + sigma2 * y
    np.savez(path, images=images, x=x.astype(np.float32), t=t, x_t=x_t.astype(np.float32))
    return path


def write_samples(path, images, levels):
    """A samples.npz."""
    np.savez(path, samples=images, levels=np.array(levels))
    return path
