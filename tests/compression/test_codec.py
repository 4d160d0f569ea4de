"""Compressed files: every image back exactly, at its path's own cost; nothing wrong is taken for right."""

import itertools
import json
import struct
import zlib

import numpy as np
import pytest
import torch
from gaussian import randomised

from diffenc.compression import codec, file
from diffenc.compression.codec import Way, compress, decompress
from diffenc.compression.path import Path
from diffenc.data.catalog import DATASETS
from diffenc.evaluation.best_steps import even, fit, fit_ratios
from diffenc.io.errors import UserError
from diffenc.models.finite_depth import Steps
from diffenc.zoo.build import build

CPU = torch.device("cpu")
DIGITS = DATASETS["digits"]


def model_of(name, schedule="fixed"):
    return randomised(build(name, DIGITS, schedule), scale=0.02)


@pytest.fixture(scope="module")
def images():
    from sklearn.datasets import load_digits

    return load_digits().images[:14, None].astype(np.uint8)


def way_of(model, images, depth, ratio, grid="even", batch=5, order="top_down", bits=3):
    if grid == "best":
        steps = fit(model, images, 0, 8, CPU).of(depth, ratio == "best")
    else:
        gammas = even(model, depth)
        ratios = fit_ratios(model, images, gammas, 0, 8, CPU) if ratio == "best" else np.ones(depth)
        steps = Steps(gammas, ratios)
    return Way(steps, bits, batch, order)


@pytest.mark.parametrize(
    ("depth", "ratio", "batch", "bits"), [(3, "1", 5, 3), (10, "best", 4, 3), (6, "best", 20, 1)]
)
@pytest.mark.parametrize("schedule", ["fixed", "monotone_learned"])
@pytest.mark.parametrize("name", ["VDMv-2", "VDM-2", "DiffEnc-2-nt", "DiffEnc-2-1"])
def test_every_image_comes_back(images, name, schedule, depth, ratio, batch, bits):
    model = model_of(name, schedule)
    orders = ["top_down", "bit_swap"] if model.encoder.is_identity else ["top_down"]
    for order in orders:
        found = compress(model, "x", images, way_of(model, images, depth, ratio, batch=batch, order=order, bits=bits))
        assert np.array_equal(decompress(model, found.content, "x.dfe"), images)
        assert found.gross == 8 * len(found.content) / images.size
        header, words = file.read(found.content, "x.dfe")
        assert header.words == len(words)
        assert 32 * (len(words) - header.borrowed) / images.size == pytest.approx(found.net, abs=64 / images.size)


@pytest.mark.parametrize("name", ["VDMv-2", "DiffEnc-2-1"])
def test_the_best_steps_and_one_batch(images, name):
    model = model_of(name)
    found = compress(model, "x", images, way_of(model, images, 5, "best", "best", batch=14))
    assert np.array_equal(decompress(model, found.content, "x.dfe"), images)


@pytest.mark.parametrize(
    ("name", "order"), [("VDMv-2", "top_down"), ("VDMv-2", "bit_swap"), ("DiffEnc-2-1", "top_down")]
)
def test_net_is_what_the_path_says(images, name, order):
    model = model_of(name)
    found = compress(model, "x", images, way_of(model, images, 20, "best", batch=14, order=order))
    assert found.net == pytest.approx(found.path, rel=0.005)


def test_the_path_of_the_coder_costs_what_random_paths_do(images):
    """Also where the model is poor and what it pushes is not random: w = 1 in few steps."""
    model, depth = model_of("VDMv-2"), 6
    many = np.concatenate([images] * 10)
    way = way_of(model, images, depth, "1", batch=20)
    found = compress(model, "x", many, way)
    path, generator = Path(model, way.steps, 140), torch.Generator().manual_seed(0)

    def normal(like):
        return torch.randn(like.shape, generator=generator, dtype=torch.float64)

    with torch.no_grad():
        x = path.scale(many)
        above = path.encoded(x, depth, 140)
        z = path.alpha[-1] * above + path.sigma[-1] * normal(above)
        cost = codec_gain(z, z - path.alpha[-1] * above, 1.0, path.sigma[-1])
        for i in range(depth, 0, -1):
            x_hat = path.x_hat(z, i)
            shift = path.shift(above, above, x_hat, i)
            moved = shift + path.sigma_q[i] * normal(z)
            cost += codec_gain(moved, moved - shift, path.sigma_p[i], path.sigma_q[i])
            z = path.mean(z, x_hat, i) + moved
        cost -= path.log_probability(many, z)
    bits = cost / np.log(2) / 64
    assert abs(found.path - bits.mean()) < 4 * np.hypot(found.path_se, bits.std() / 140**0.5)


def codec_gain(from_p, from_q, p, q):
    squares = ((from_p / p) ** 2 - (from_q / q) ** 2).flatten(1).sum(1).numpy() / 2
    return squares + from_p[0].numel() * np.log(p / q)


@pytest.fixture(scope="module")
def written(images):
    """A model, and two files of different images made with it."""
    model = model_of("DiffEnc-2-1")
    way = way_of(model, images, 4, "best")
    return model, compress(model, "run", images, way).content, compress(model, "run", images[::-1], way).content


def damaged(content, other, rng):
    """Damaged copies, as many as are asked for."""
    start = 16 + struct.unpack_from("<I", content, 8)[0]
    for i in itertools.count():
        kind, copy = i % 5, bytearray(content)
        where = int(rng.integers(len(content)))
        if kind == 0:
            copy[where] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            copy = copy[:where]
        elif kind == 2:
            copy += bytes(rng.integers(0, 256, int(rng.integers(1, 9))).astype(np.uint8))
        elif kind == 3:
            end = min(len(copy), where + int(rng.integers(1, 400)))
            if bytes(copy[where:end]) == bytes(end - where):
                continue
            copy[where:end] = bytes(end - where)
        else:
            begin = 16 + struct.unpack_from("<I", other, 8)[0]
            copy = bytearray(other[:begin] + content[start:] if i % 2 else content[:start] + other[begin:])
        yield bytes(copy)


def refused(model, content, match="."):
    with pytest.raises(UserError, match=match) as error:
        decompress(model, content, "x.dfe")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("x.dfe: ")


def test_500_damaged_files_are_refused(written):
    model, content, other = written
    for copy in itertools.islice(damaged(content, other, np.random.default_rng(0)), 500):
        refused(model, copy)


def with_header(content, **changes):
    """The file with another header, whose checksum is right."""
    length, _ = struct.unpack_from("<II", content, 8)
    header = json.loads(zlib.decompress(content[16 : 16 + length])) | changes
    text = zlib.compress(json.dumps(header).encode())
    return content[:8] + struct.pack("<II", len(text), zlib.crc32(text)) + text + content[16 + length :]


def test_what_does_not_fit_is_named(written):
    model, content, _ = written
    other = model_of("DiffEnc-2-1")
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-6
    refused(other, content, "was made with the model run .* this one's weights are")
    refused(model_of("VDMv-2"), content, "name the run that it was made with")
    for batch, T in ((6, 4), (5, 4)):
        changed = with_header(content, batch=batch, ratios=[0.5] * T)
        refused(model, changed, "checksum|give other numbers here|do not go back|borrowed")
    refused(model, with_header(content, bits=99), r"its header is not of this version \(bits: .*\)")
    refused(model, with_header(content, gammas=[5.0, 1.0, 2.0, 3.0, 4.0]), "gammas do not rise")
    refused(model, with_header(content, shape=[14, 3, 8, 8]), "is of 3 channels, the model has 1")
    refused(model, b"PK\x03\x04" + content, "is not a file of `diffenc compress`")


def test_another_machines_arithmetic_is_told_before_and_after(written, monkeypatch):
    model, content, _ = written
    x_hat = Path.x_hat
    monkeypatch.setattr(Path, "x_hat", lambda *given: x_hat(*given) * (1 + 1e-15))
    elsewhere = codec.machine(CPU).model_copy(update={"torch": "9.9", "threads": 77})
    monkeypatch.setattr(codec, "machine", lambda device: elsewhere)
    refused(
        model, content, r"give other numbers here than where it was made: .*threads \d+ there, 77 here, torch .* 9.9"
    )
    header, _ = file.read(content, "x")
    monkeypatch.setattr(codec, "canary", lambda *given: header.canary)
    monkeypatch.setattr(Path, "x_hat", lambda *given: x_hat(*given) * (1 + 1e-3))
    refused(model, content, "checksum|do not go back|borrowed bits are not left")


def test_what_cannot_be_compressed_is_said(images):
    model = model_of("DiffEnc-2-1")
    with pytest.raises(UserError, match="bit_swap: needs a model without an encoder; take top_down"):
        compress(model, "x", images, way_of(model, images, 2, "1", order="bit_swap"))
    with pytest.raises(UserError, match="a pixel of 200: the model has 17 levels"):
        compress(model, "x", np.full_like(images, 200), way_of(model, images, 2, "1"))


def test_a_step_that_no_window_holds(images, monkeypatch):
    monkeypatch.setattr("diffenc.compression.bits_back.WIDEST", 6)
    model = model_of("VDMv-2")
    with pytest.raises(UserError, match="standard deviations from what the model expects in a step; take more steps"):
        compress(model, "x", images, way_of(model, images, 1, "1"))


def test_colour_of_256_levels():
    model = randomised(build("DiffEnc-2-1", DATASETS["cifar10"], "fixed"), scale=0.02)
    images = np.random.default_rng(0).integers(100, 140, (3, 3, 32, 32)).astype(np.uint8)
    found = compress(model, "x", images, way_of(model, images, 2, "best", batch=2))
    assert np.array_equal(decompress(model, found.content, "x.dfe"), images)
