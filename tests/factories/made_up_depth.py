"""Made-up depth.json of the real layout, for the tests of what is shown of them."""

import json
import math

import made_up
import numpy as np

from diffenc.study.stages import DEPTH
from diffenc.study.study import run_folder

DEPTHS, RATIOS = (10, 100, 1000), (0.5, 1.1)


def record(run, depths=DEPTHS, ratios=RATIOS, below=(), fitted=False):
    """Its best bound is below the continuous one at the T in `below`; at the first T steps may be `fitted`."""
    rng = np.random.default_rng([run.seed, len(run.model)])
    base = made_up.BASE[run.model] + 0.004 * rng.standard_normal()
    return {
        "images": 300,
        "passes": 2,
        "seed": 0,
        **({"fitted_on": 200} if fitted else {}),
        "continuous": {
            name: {"mean": value, "mc_se": 0.002}
            for name, value in (
                ("total", base),
                ("diffusion", base - 0.012),
                ("latent", 0.002),
                ("reconstruction", 0.01),
            )
        },
        "depths": [_at(T, base, ratios, -1 if T in below else 1, fitted and depths[0] == T) for T in depths],
    }


def _at(T, base, ratios, sign, fitted):
    excess = {"sigma_Q": 30 / T * base, "best": sign * 6 / T}
    for w in ratios:
        excess[f"w={w:g}"] = T * (w - 1 - math.log(w)) / (2 * math.log(2)) + (w - 1) * base + w * excess["sigma_Q"]
    if fitted:
        excess |= {"best_steps": 12 / T * base, "best_steps_and_sigma_P": 4 / T}
    bounds = {
        name: {
            "total": {"mean": base + above, "mc_se": 0.002},
            "diffusion": {"mean": base - 0.012 + above, "mc_se": 0.002},
            "excess": {"mean": above, "mc_se": None},
        }
        for name, above in excess.items()
    }
    t = np.arange(1, 11) / 10
    w = 1 / (1 + 20 / T * (1.1 - t) * base)
    ratio = [{"t": a, "w": b, "n": 60} for a, b in zip(t.tolist(), w.tolist(), strict=True)]
    gammas = {name: np.linspace(-13.3, 5, T + 1).tolist() for name in excess if name.startswith("best_")}
    return {"T": T, "bounds": bounds, "ratio": ratio} | ({"gammas": gammas} if gammas else {})


def write(study, folder, **options):
    """Every run's depth.json below `folder`; {(data set, schedule): {model: its files}}."""
    files = {}
    for run in study.training:
        path = run_folder(folder, run) / DEPTH
        path.write_text(json.dumps(record(run, **options)))
        files.setdefault((run.dataset, run.schedule), {}).setdefault(run.model, []).append(path)
    return files
