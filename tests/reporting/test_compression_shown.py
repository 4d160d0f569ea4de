"""The table and the figure of real bits, from made-up compression.json."""

import json

import made_up
import pytest

from diffenc.io.errors import UserError
from diffenc.reporting.figures import compression as figure
from diffenc.reporting.figures import style
from diffenc.reporting.tables.compression import compression
from diffenc.reporting.tables.formatting import MINUS
from diffenc.results.compression import read_alike
from diffenc.results.runs import collect
from diffenc.study.stages import COMPRESSION
from diffenc.study.study import run_folder


def record(run, depths=(10, 100)):
    orders = ["top_down", "bit_swap"] if run.model == "VDMv-2" else ["top_down"]
    base = made_up.BASE[run.model] + 0.01 * run.seed
    return {
        "images": 200,
        "bits": 3,
        "together": 50,
        "rates": [
            {
                **{"T": T, "ratio": ratio, "order": order, "net": base + more / T, "gross": base + 2 * T},
                **{"path": 1.01 * (base + more / T), "path_se": 0.01, "encode_s": 1.5, "decode_s": 2.5},
                "bound": {"mean": base + more / T - 0.02, "mc_se": 0.02},
            }
            for T in depths
            for ratio, more in (("sigma_Q", 20), ("best", 5))
            for order in orders
        ],
        "others": {"lzma": {"rate": 2.9, "encode_s": 0.04}, "PNG": {"rate": 4.1, "encode_s": 0.02}},
    }


@pytest.fixture
def made(tmp_path):
    study = made_up.study()
    folder = made_up.write_results(study, tmp_path / "small")
    files = {}
    for run in study.training:
        path = run_folder(folder, run) / COMPRESSION
        path.write_text(json.dumps(record(run)))
        files.setdefault(run.model, []).append(path)
    return study, folder, files


def test_rows(made):
    study, folder, _ = made
    table = compression(study, collect(study, folder), None, folder)
    frame = table.frame
    assert len(frame) == (2 + 1 + 1) * 4 + 2
    row = frame.iloc[0]
    assert (row["order"], row["T"], row["sigma_P"], row["n"]) == ("top down", 10, "sigma_Q", 3)
    assert row["net"] == pytest.approx(2.64 + 0.02 + 2)
    assert row["net_se"] == pytest.approx(0.01 / 3**0.5)
    assert row["over_path"] == pytest.approx(100 * (1 / 1.01 - 1))
    assert row["bound"] == pytest.approx(row["net"] - 0.02)
    cells = [{column.header: column.cell(row) for column in table.columns} for row in frame.to_dict("records")]
    assert cells[0]["net"] == f"{row['net']:.3f} ± {row['net_se']:.3f}"
    assert (cells[0]["over its path"], cells[0]["encode, decode"]) == (f"{MINUS}0.99 %", "1.5 s, 2.5 s")
    assert [(one["model"], one["gross"], one["net"], one["T"]) for one in cells[-2:]] == [
        ("lzma", "2.900", "n/a", "n/a"),
        ("PNG", "4.100", "n/a", "n/a"),
    ]
    assert any("200 test images in batches of 50" in note for note in table.notes)
    assert any("grids of sigma_Q / 2^3" in note for note in table.notes)


def test_lines(made):
    _, _, files = made
    records = iter(read_alike(path for paths in files.values() for path in paths))
    models = {name: [next(records) for _ in paths] for name, paths in files.items()}
    with style.styled():
        drawn = figure.draw(models, "Title", list(files))
    net, gross = drawn.axes
    first = next(line for line in net.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o")
    assert first.get_xdata().tolist() == [10, 100]
    assert first.get_ydata() == pytest.approx([4.66, 2.86])
    # of each model two lines, and one for each of the others; Bit-Swap's order is VDMv-2's alone
    assert (len(net.lines), len(gross.lines)) == (2 * 3 + 2, 3 + 1 + 2)


def test_other_settings_are_named(made):
    study, folder, files = made
    path = files["DiffEnc-2-1"][1]
    run = next(run for run in study.training if run_folder(folder, run) / COMPRESSION == path)
    path.write_text(json.dumps(record(run, depths=(10, 30))))
    with pytest.raises(
        UserError, match=r"images, bits, together and T are .*\[10, 30\]\), in .*\[10, 100\]\); make it"
    ):
        compression(study, collect(study, folder), None, folder)
