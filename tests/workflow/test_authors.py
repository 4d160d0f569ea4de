"""The authors' checkpoints through a study: the loss table has the numbers that their code computed."""

import numpy as np
import pandas as pd
import pytest
import yaml
from pipeline import check_out, snakemake

from diffenc.models.model import bits_per_dimension

CHECKPOINTS = {
    "vdmv": "fixed",
    "vdm_epsilon": "fixed",
    "nt": "fixed",
    "trainable_mult_res": "fixed",
    "trainable_train_scalar": "learned",
}
TERMS = {"reconstruction": "recon", "latent": "latent", "diffusion": "diffusion"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The folder of a study's tables, each checkpoint on its own images under its own noise."""
    folder = check_out(tmp_path_factory.mktemp("authors") / "clone")
    runs = [
        {
            "dataset": name,
            "models": [f"authors_{name}"],
            "schedule": schedule,
            "seeds": [1],
            "weights": {
                "format": "authors",
                "path": f"tests/parity/{name}_12000.gz",
                "config": f"tests/parity/{name}.json",
            },
        }
        for name, schedule in CHECKPOINTS.items()
    ]
    own = {
        name: {"title": name, **dict.fromkeys(("train", "test", "noise"), f"tests/parity/{name}.npz")}
        for name in CHECKPOINTS
    }
    study = {"name": "authors", "title": "Theirs", "own_data": own, "runs": runs, "tables": ["components"]}
    (folder / "authors.yaml").write_text(yaml.safe_dump(study))
    ended = snakemake(folder, "--cores", "2", "--show-failed-logs", "--configfile=authors.yaml", "tables")
    assert ended.returncode == 0, ended.stdout
    return folder / "results/authors/tables"


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_table_has_the_authors_numbers(tables, name):
    (row,) = pd.read_csv(tables / name / "components.csv").to_dict("records")
    theirs = np.load(f"{tables.parents[2]}/tests/parity/{name}.npz")
    dimensions = theirs["images"][0].size
    total = 0
    for ours, key in TERMS.items():
        expected = bits_per_dimension(theirs[f"ema_loss_{key}"].astype(np.float64).mean(), dimensions)
        assert row[ours] == pytest.approx(expected, abs=1e-4)
        total += expected
    assert row["total"] == pytest.approx(total, abs=1e-4)
    assert (row["steps"], row["n"], row["images"]) == (12000, 1, len(theirs["images"]))
    # and not those of the weights that are not averaged
    others = sum(theirs[f"loss_{key}"].mean() for key in TERMS.values())
    assert abs(bits_per_dimension(float(others), dimensions) - total) > 1e-3
