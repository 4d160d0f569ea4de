import subprocess
import sys

import pandas as pd
import pytest
import torch

from diffenc.benchmark import peak
from diffenc.benchmark.step_time import bytes_moved
from diffenc.cli.main import main
from diffenc.data.catalog import DATASETS, DatasetSpec
from diffenc.zoo.configs import ModelConfig, model_config
from diffenc.zoo.flops import flops

CPU = torch.device("cpu")


def bench(*options):
    return subprocess.run([sys.executable, "-m", "diffenc", "bench", *options], capture_output=True, text=True)


def test_it_measures_and_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peak, "HELD", 0.01)
    names = ["VDMv-2", "DiffEnc-2-1"]
    options = ["--dataset", "digits", "--device", "cpu", "--ways", "float32", "bf16", "--steps", "2", "--batch", "4"]
    main(["bench", "--models", *names, *options, "--threads", "1", "--out", str(tmp_path / "here")])
    assert {path.name for path in tmp_path.iterdir()} == {f"here.{suffix}" for suffix in ("md", "csv", "svg", "png")}
    rows = pd.read_csv(tmp_path / "here.csv")
    assert [*zip(rows["model"], rows["way"], strict=True)] == [(m, way) for m in names for way in ("float32", "bf16")]
    for row in rows.itertuples():
        training = flops(model_config(row.model, DATASETS["digits"]), DATASETS["digits"]).training
        assert row.tflops == pytest.approx(row.images_per_s * training / 1e12)
        assert row.images_per_s == pytest.approx(4000 / row.ms)
        assert row.of_convolution == pytest.approx(row.tflops / row.peak_tflops)
        assert 0 < row.arithmetic_ms < row.ms <= row.median_ms
    shares = rows[[name for name in rows if name.startswith("time: ")]].sum(axis=1)
    assert shares.to_numpy() == pytest.approx(1)
    plain = rows["model"] == "VDMv-2"
    assert (rows.loc[plain, "overhead"] == 1).all()
    assert [*rows.loc[~plain, "overhead"]] == pytest.approx([*(rows["ms"][~plain].values / rows["ms"][plain].values)])
    text = (tmp_path / "here.md").read_text()
    assert "nan" not in text
    assert text in capsys.readouterr().out


def test_a_wrong_model_is_one_line(tmp_path):
    done = bench("--models", "VDMv-9", "--out", str(tmp_path / "here"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("diffenc: error: --models VDMv-9: is not in the zoo")


def test_the_bytes_of_a_network_counted_by_hand():
    spec, n, side, batch = DatasetSpec("Small", 1, 8, 17, 1, 1, 1, "made up"), 32, 8, 2
    config = ModelConfig("v", layers=1, width=n)
    pixels, dense = batch * side**2, batch * 4 * n
    conv_in, conv_out = pixels * (5 + n), pixels * (n + 1)
    embedding = batch * (n + 1) + dense + 2 * dense

    def block(before):
        norms = 2 * pixels * before + 2 * pixels * n
        return (
            norms
            + pixels * (before + n)
            + pixels * 2 * n
            + dense
            + batch * n
            + (pixels * (before + n)) * (before > n)
        )

    attention = 2 * pixels * n + 4 * 2 * pixels * n
    elements = conv_in + conv_out + embedding + 3 * block(n) + 2 * block(2 * n) + attention + 2 * pixels * n
    weights = bytes_moved(config, spec, batch, torch.float32) - 3 * 4 * elements
    assert bytes_moved(config, spec, batch, torch.bfloat16) - 3 * 2 * elements == weights
    assert weights % 40 == 0  # ten passes over float32


def test_the_peak_is_the_best_of_several():
    one, other = peak.Peak(1.0, 5.0, 2.0), peak.Peak(3.0, 4.0, 2.5)
    assert one.highest(other) == peak.Peak(3.0, 5.0, 2.5)
    assert len(peak.seconds(lambda: None, CPU, times=3)) == 3
    assert peak.description(CPU)["PyTorch"] == torch.__version__


def test_a_peak_is_held_over_many_calls(monkeypatch):
    """On a clock of its own: a processor that is fast for two calls, which tell how many make a quarter second."""
    calls, now = 0, 0.0

    def work():
        nonlocal calls, now
        calls += 1
        now += 0.01 if calls <= 2 else 0.02

    monkeypatch.setattr(peak.time, "perf_counter", lambda: now)
    assert peak.held(work, CPU) == pytest.approx(0.02)
    assert calls == 2 + 3 * 25
