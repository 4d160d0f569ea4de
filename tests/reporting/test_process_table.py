"""The table of processes: ranges, own errors and differences, of measurements that are made up."""

import numpy as np
from test_inference_tables import made

from diffenc.reporting.tables.process import process
from diffenc.study.load import parse_study
from diffenc.study.stages import PROCESS
from diffenc.study.study import run_folder

GAMMAS = {"time": "vp", "bound": "logits", "gamma_min": -9.162, "gamma_max": 5.044}


def study():
    group = {"dataset": "digits", "seeds": [1, 2], "training": {"steps": 100}}
    return parse_study(
        {
            **{"name": "small", "title": "Small", "figures": [], "tables": ["process"]},
            "models": {"CLD-logit": {"like": "MDM-CLD-2", **GAMMAS}, "VP-logit": {"like": "MDM-VP-2", **GAMMAS}},
            "runs": [group | {"models": ["VDMv-2", "MDM-CLD-2", "MDM-learned2-2", "CLD-logit", "VP-logit"]}],
        },
        "small.yaml",
    )


def arrays(loss, K=2, own=0.0, shape=(3, 40)):
    """-log SNR from -8 to 4, a diffusion term of `loss`, own errors among it; the matrices of a learned process."""
    t = np.random.default_rng(0).random(shape)
    times = np.linspace(0, 1, 5)
    level, zeros = -8 + 12 * times, np.zeros(shape)
    found = {"times": times, "gamma": level, "level": level, "weights": np.ones((5, K)), "t": t}
    found |= {"level_drawn": -8 + 12 * t, "reconstruction": zeros + 0.01, "latent": zeros + 0.002}
    found |= {"Q": np.array([[0, -0.5], [0.5, 0]]), "D": np.diag([1.25, 0.5])}
    return found | {"diffusion": zeros + loss, "own": zeros + own}


def test_differences_are_of_the_same_data_and_what_was_learned_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("made_up.BASE", dict.fromkeys(study().model_names, 2.6))
    made_study, runs, tests, folder = made(tmp_path, study())
    losses = {"VDMv-2": 2.0, "MDM-CLD-2": 2.5, "MDM-learned2-2": 2.25, "CLD-logit": 9.0, "VP-logit": 8.0}
    for run in made_study.training:
        own = 0.1 if run.model == "MDM-learned2-2" else 0.0
        np.savez(run_folder(folder, run) / PROCESS, **arrays(losses[run.model], own=own))
    table = process(made_study, runs, tests, folder)
    frame = table.frame.set_index("model")
    assert frame["whole"].dropna().round(9).to_dict() == {"MDM-CLD-2": 0.5, "MDM-learned2-2": 0.25, "VP-logit": -1.0}
    assert frame["first"].to_dict() == {model: model in ("VDMv-2", "CLD-logit") for model in losses}
    assert frame.loc["MDM-learned2-2", ["own", "own_error", "prediction"]].round(9).tolist() == [0.1, 0.1, 0.15]
    assert frame["noise_range"].dropna().abs().max() < 1e-9
    assert "MDM-learned2-2: Q_01 = \N{MINUS SIGN}0.500, D = diag(1.250, 0.500)" in "\n".join(table.notes)
