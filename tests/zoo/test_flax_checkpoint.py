"""The authors' checkpoints: read as data only, and then a model like one of ours."""

import gzip
import hashlib
import json
from pathlib import Path

import msgpack
import numpy as np
import pytest

from diffenc import data
from diffenc.cli.main import main
from diffenc.io.errors import UserError
from diffenc.reporting.figures.heatmaps import heatmap
from diffenc.zoo.flax_checkpoint import _extension, load_checkpoint, read_msgpack

PARITY = Path(__file__).parents[1] / "parity"
CHECKPOINT, CONFIG = PARITY / "trainable_mult_res_12000.gz", PARITY / "trainable_mult_res.json"


def test_gzipped_or_not(tmp_path):
    plain = tmp_path / "checkpoint_12000"
    plain.write_bytes(gzip.decompress(CHECKPOINT.read_bytes()))
    ours, theirs = (load_checkpoint(path, CONFIG).state_dict() for path in (CHECKPOINT, plain))
    assert all((ours[name] == theirs[name]).all() for name in ours)


def test_flax_scalars_and_arrays_are_read():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)

    def extension(code, value):
        return msgpack.ExtType(code, msgpack.packb((value.shape, value.dtype.name, value.tobytes())))

    content = msgpack.packb({"a": {"b": extension(1, array)}, "step": extension(3, np.int32(7))})
    path = Path(__file__).parents[1] / "parity" / "vdmv_12000.gz"
    assert set(read_msgpack(path)) >= {"step", "params", "ema_params"}
    state = msgpack.unpackb(content, ext_hook=_extension)
    np.testing.assert_array_equal(state["a"]["b"], array)
    assert state["step"] == 7


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[: len(content) // 2], "damaged"),
        (lambda content: gzip.decompress(content)[:5000], "damaged"),
        (lambda content: b"\x93\x01\x02\x03", "not a flax checkpoint"),
        (lambda content: msgpack.packb({"ema_params": msgpack.ExtType(2, b"x")}), "extension type 2"),
        (lambda content: msgpack.packb({"params": {}}), "has no 'ema_params'"),
        (lambda content: msgpack.packb({"ema_params": {}}), "no score_model"),
        # a gzip header, and a block of a type that there is not
        (lambda content: content[:10] + b"\xff" * 40, "damaged"),
        (lambda content: content[:4096] + bytes(4096) + content[8192:], "damaged|not a flax checkpoint"),
    ],
)
def test_damaged_checkpoints(tmp_path, damage, message):
    path = tmp_path / "checkpoint.gz"
    path.write_bytes(damage(CHECKPOINT.read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        load_checkpoint(path, CONFIG)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_another_models_configuration_is_refused():
    with pytest.raises(UserError, match="disagree on"):
        load_checkpoint(CHECKPOINT, PARITY / "vdmv.json")
    with pytest.raises(UserError, match=r"shape|disagree"):
        load_checkpoint(PARITY / "vdmv_12000.gz", CONFIG)


def test_an_unknown_kind_of_model_is_refused(tmp_path):
    config = json.loads(CONFIG.read_text())
    config["ddpm_type"] = "SVB"
    (tmp_path / "c.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"ddpm_type: Input should be .* found 'SVB'"):
        load_checkpoint(CHECKPOINT, tmp_path / "c.json")


@pytest.fixture(scope="module")
def colour_images(tmp_path_factory):
    """A prepared folder of made-up 16 x 16 colour images, the size of the parity model's."""
    folder = tmp_path_factory.mktemp("data") / "cifar10"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 16, 16)).astype(np.uint8)
    entries = {}
    for split in ("train", "test"):
        np.save(folder / f"{split}.npy", images)
        digest = hashlib.sha256((folder / f"{split}.npy").read_bytes()).hexdigest()
        entries[split] = {"count": len(images), "sha256": digest}
    manifest = {"dataset": "cifar10", "release": "made up", "shape": [3, 16, 16], "levels": 256, "originals": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest | entries))
    return folder


def test_it_evaluates_encodes_and_samples_like_one_of_ours(colour_images, tmp_path, monkeypatch):
    model = ["--official", str(CHECKPOINT), "--config", str(CONFIG), "--data", str(colour_images), "--device", "cpu"]
    main(["evaluate", *model, "--passes", "2", "--out", str(tmp_path / "evaluation.json")])
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    assert (evaluation["images"], evaluation["steps"], evaluation["model"]) == (12, 12000, "trainable_mult_res")
    images = data.load(colour_images, "test")
    terms = np.load(tmp_path / "evaluation.npz")
    ours = load_checkpoint(CHECKPOINT, CONFIG)
    assert terms["latent"][0] == pytest.approx(latent_bpd(ours, images), rel=1e-4)

    main(["encode", *model, "--out", str(tmp_path / "encodings.npz")])
    heatmap(tmp_path / "encodings.npz", tmp_path / "heatmap", "An official model")
    assert (tmp_path / "heatmap.png").stat().st_size > 1000

    main(["sample", *model, "--count", "2", "--steps", "3", "--out", str(tmp_path / "samples.npz")])
    assert np.load(tmp_path / "samples.npz")["samples"].shape == (2, 3, 16, 16)


def latent_bpd(model, images):
    """KL(N(alpha x_1, sigma^2) || N(0, 1)) by torch's own formula."""
    import torch
    from torch.distributions import Normal, kl_divergence

    x = 2 * (torch.tensor(np.array(images)).float() + 0.5) / 256 - 1
    gamma = torch.tensor(5.0)
    with torch.no_grad():
        x_1 = model.encode(x, gamma.expand(len(x)))
        q = Normal(torch.sigmoid(-gamma).sqrt() * x_1, torch.sigmoid(gamma).sqrt())
        return (kl_divergence(q, Normal(0.0, 1.0)).flatten(1).mean(1) / np.log(2)).numpy()


def with_leaves(path, change):
    """The checkpoint with every array changed."""

    def changed(code, data):
        value = change(_extension(code, data))
        return msgpack.ExtType(code, msgpack.packb((value.shape, value.dtype.name, value.tobytes())))

    content = msgpack.unpackb(gzip.decompress(CHECKPOINT.read_bytes()), ext_hook=changed, strict_map_key=False)
    path.write_bytes(msgpack.packb(content))


def test_values_that_are_not_finite_are_refused(tmp_path):
    def spoilt(value):
        return np.array([0, np.nan, 0], value.dtype) if value.shape == (3,) else value

    with_leaves(tmp_path / "nan.gz", spoilt)
    with pytest.raises(UserError, match=r"nan.gz: .*conv_out/bias has values that are not finite; fetch it again"):
        load_checkpoint(tmp_path / "nan.gz", CONFIG)


def test_axes_in_another_order_are_refused(tmp_path):
    """As many values, but (out, in, H, W), as a converter from PyTorch would write them."""

    def reordered(value):
        return value.transpose(3, 2, 0, 1) if value.shape == (3, 3, 15, 32) else value

    with_leaves(tmp_path / "other.gz", reordered)
    match = r"score_model/conv_in/kernel has shape \(32, 15, 3, 3\), but .* asks for \(3, 3, 15, 32\)"
    with pytest.raises(UserError, match=match):
        load_checkpoint(tmp_path / "other.gz", CONFIG)
