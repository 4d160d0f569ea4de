"""The authors' checkpoints: cut short, without their configuration or with another one."""

import gzip
from pathlib import Path

import pytest
from mistakes import OFFICIAL, PARITY


@pytest.mark.parametrize("zipped", [True, False])
def test_official_checkpoint_cut_short(refused, zipped):
    content = (PARITY / "vdmv_12000.gz").read_bytes()
    Path("cut").write_bytes((content if zipped else gzip.decompress(content))[:100_000])
    error = refused([*OFFICIAL, "cut", "--config", PARITY / "vdmv.json"])
    assert "error: cut: is damaged or not a flax checkpoint" in error
    assert error.endswith("; fetch it again\n")


def test_official_checkpoint_with_the_config_of_another_model(refused):
    checkpoint, config = PARITY / "vdmv_12000.gz", PARITY / "trainable_mult_res.json"
    error = refused([*OFFICIAL, checkpoint, "--config", config])
    assert f"error: {checkpoint}: is not a checkpoint of {config} (they disagree on encoder." in error
    assert error.endswith("; name its own config\n")


def test_official_checkpoint_without_a_config(refused):
    checkpoint = PARITY / "vdmv_12000.gz"
    assert f"error: --official {checkpoint}: needs --config" in refused([*OFFICIAL, checkpoint])


def test_official_checkpoint_on_images_of_another_kind(refused):
    error = refused([*OFFICIAL, PARITY / "vdmv_12000.gz", "--config", PARITY / "vdmv.json"])
    assert "vdmv_12000.gz: models 3 channel(s) of 256 levels, Digits has 1 of 17; name the data" in error
