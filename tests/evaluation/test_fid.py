"""FID: the distance against closed forms and scipy, the moments against numpy, Inception against torch-fidelity."""

import hashlib
import json
import math
import urllib.request

import numpy as np
import pytest
import scipy.linalg
import torch
import torch_fidelity

from diffenc.evaluation.fid import IMPLEMENTATION, Extractor, Moments, download, fid, frechet_distance, load_extractor
from diffenc.io.errors import UserError
from diffenc.results.fid import STANDARD_SHA256, read
from diffenc.study.settings import INCEPTION

CPU = torch.device("cpu")


def gaussian(mean, covariance):
    return {"mu": np.array(mean, dtype=float), "sigma": np.array(covariance, dtype=float)}


def rotation(d, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def random_gaussian(d, seed):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((d, d + 2))
    return gaussian(rng.standard_normal(d), root @ root.T / d)


# The distance.


def test_in_one_dimension():
    # (3 - 1)^2 + (2 - 5)^2
    assert frechet_distance(gaussian([3], [[4]]), gaussian([1], [[25]])) == pytest.approx(13)


@pytest.mark.parametrize("d", [2, 7, 40])
def test_of_covariances_that_commute(d):
    rng, axes = np.random.default_rng(d), rotation(d, d)
    m, l = rng.standard_normal((2, d)), rng.uniform(0.1, 5, (2, d))
    l[1, 0] = 0  # a direction without variance
    a, b = (gaussian(m[i], axes * l[i] @ axes.T) for i in range(2))
    expected = ((m[0] - m[1]) ** 2).sum() + ((np.sqrt(l[0]) - np.sqrt(l[1])) ** 2).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("d", [3, 20, 100])
def test_of_any_covariances_against_scipys_square_root(d):
    a, b = random_gaussian(d, 1), random_gaussian(d, 2)
    root = scipy.linalg.sqrtm(a["sigma"] @ b["sigma"])
    expected = ((a["mu"] - b["mu"]) ** 2).sum() + np.trace(a["sigma"] + b["sigma"] - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_nothing_lies_between_a_gaussian_and_itself():
    a = random_gaussian(50, 3)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9 * np.trace(a["sigma"]))


def test_is_the_least_cost_of_moving_one_sample_onto_another():
    # for many points the squared Wasserstein distance in one dimension is that of the sorted points
    a, b = (np.random.default_rng(i).normal(m, s, 200_000) for i, (m, s) in enumerate([(0, 1), (2, 3)]))
    moved = ((np.sort(a) - np.sort(b)) ** 2).mean()
    a, b = (gaussian([x.mean()], [[x.var(ddof=1)]]) for x in (a, b))
    assert frechet_distance(a, b) == pytest.approx(moved, rel=1e-3)


# The moments.


@pytest.mark.parametrize("sizes", [[100], [1] * 100, [1, 64, 35]])
def test_streamed_moments_are_numpys(sizes):
    values = 1e3 + np.random.default_rng(0).standard_normal((100, 6)) * [1, 2, 3, 1, 1, 9]
    values = values.astype(np.float32)  # as the features are
    moments = Moments()
    for part in np.split(values, np.cumsum(sizes)[:-1]):
        moments.add(torch.from_numpy(part))
    found = moments.statistics()
    assert moments.n == 100
    np.testing.assert_allclose(found["mu"], values.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(found["sigma"], np.cov(values.astype(np.float64), rowvar=False), rtol=1e-8, atol=1e-9)


def test_what_was_taken_down_does_not_change_with_what_comes_later():
    moments = Moments()
    moments.add(torch.arange(8.0).reshape(4, 2))
    early = moments.statistics()
    moments.add(torch.full((4, 2), 100.0))
    assert early["mu"].tolist() == [3, 4]
    assert early["sigma"][0, 0] == pytest.approx(20 / 3)


# The scores, with a small network in Inception's place.


class Projection(torch.nn.Module):
    """Five features that are linear in the pixels; counts the images that it saw."""

    seen = 0

    def forward(self, images):
        self.seen += len(images)
        weights = torch.randn(images[0].numel(), 5, generator=torch.Generator().manual_seed(0))
        return ((images.float().flatten(1) / 255) @ weights,)


@pytest.fixture
def extractor():
    return Extractor(Projection(), "0" * 64, CPU)


def images(count, seed, levels=256, shape=(1, 4, 4)):
    return np.random.default_rng(seed).integers(0, levels, (count, *shape)).astype(np.uint8)


def by_hand(extractor, a, b):
    """The distance of two sets of RGB images, from all features at once and scipy's square root."""
    a, b = (extractor.network(torch.from_numpy(x))[0].double().numpy() for x in (a, b))
    roots = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * roots)


def test_each_count_against_each_reference(extractor):
    drawn, train, test = (images(n, n) for n in (60, 50, 20))
    found = fid(drawn, {"train": train, "test": test}, [60, 25], extractor, batch=8)
    assert extractor.network.seen == 60 + 50 + 20  # each image once
    assert (found["implementation"], found["weights_sha256"]) == ("torch-fidelity 0.4.0", "0" * 64)
    expected = [(60, "train", 50, train), (60, "test", 20, test), (25, "train", 50, train), (25, "test", 20, test)]
    for score, (count, name, size, reference) in zip(found["scores"], expected, strict=True):
        assert (score["samples"], score["reference"], score["images"]) == (count, name, size)
        colour = [np.repeat(x, 3, axis=1) for x in (drawn[:count], reference)]
        assert score["fid"] == pytest.approx(by_hand(extractor, *colour), rel=1e-5)


def test_colours_are_kept(extractor):
    a, b = images(30, 1, shape=(3, 4, 4)), images(40, 2, shape=(3, 4, 4))
    (score,) = fid(a, {"test": b}, [30], extractor)["scores"]
    assert score["fid"] == pytest.approx(by_hand(extractor, a, b), rel=1e-5)


def test_few_levels_are_stretched_to_what_inception_expects(extractor):
    a, b = images(30, 1, levels=17), images(40, 2, levels=17)
    (score,) = fid(a, {"test": b}, [30], extractor, levels=17)["scores"]
    wide = [np.repeat(np.rint(x * (255 / 16)).astype(np.uint8), 3, axis=1) for x in (a, b)]
    assert wide[0].max() == 255
    assert score["fid"] == pytest.approx(by_hand(extractor, *wide), rel=1e-5)


def test_statistics_of_references_are_kept_for_these_images_and_weights_only(extractor, tmp_path):
    drawn, train = images(30, 1, levels=99), images(50, 2, levels=99)

    def score(train, extractor, levels=256):
        extractor.network.seen = 0
        (score,) = fid(drawn, {"train": train}, [30], extractor, levels, cache=tmp_path)["scores"]
        return score["fid"], extractor.network.seen - 30

    first, computed = score(train, extractor)
    assert computed == 50
    assert score(train, extractor) == (first, 0)
    other_images = train.copy()
    other_images[49, 0, 3, 3] ^= 64
    other, computed = score(other_images, extractor)
    assert computed == 50
    assert other != first
    other_weights = Extractor(extractor.network, "1" * 64, CPU)
    for again in ((train, other_weights), (train, extractor), (train, extractor, 128)):
        assert score(*again)[1] == 50
    first, _ = score(train, extractor)
    content = (tmp_path / "inception_train_50.npz").read_bytes()
    for damaged in (content[:-40], b"", b"no archive", content[:30] + b"\0" * 40 + content[70:]):
        (tmp_path / "inception_train_50.npz").write_bytes(damaged)
        assert score(train, extractor) == (first, 50)


def test_a_cache_that_cannot_be_written_is_done_without(extractor, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    found = fid(images(9, 1), {"test": images(9, 2)}, [9], extractor, cache=tmp_path / "file")
    assert found == fid(images(9, 1), {"test": images(9, 2)}, [9], extractor)


def test_too_few_samples_and_other_shapes_are_refused(extractor):
    with pytest.raises(UserError, match="counts: 10 samples asked for, there are 9; ask for fewer"):
        fid(images(9, 1), {"test": images(9, 2)}, [5, 10], extractor)
    with pytest.raises(UserError, match=r"have shape \(1, 4, 4\), the test images \(1, 8, 8\); name the data set"):
        fid(images(9, 1), {"test": images(9, 2, shape=(1, 8, 8))}, [9], extractor)


# The file.


def test_what_is_written_is_read(extractor, tmp_path):
    found = fid(images(9, 1), {"test": images(9, 2)}, [9], extractor)
    (tmp_path / "fid.json").write_text(json.dumps(found))
    record = read(tmp_path / "fid.json")
    assert record.model_dump() == found
    assert record.implementation == IMPLEMENTATION


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read"),
        ("", "is damaged"),
        ("\0\x80", "is damaged"),
        ("{}", "implementation: is missing"),
        ('{"implementation": "x", "weights_sha256": "0", "scores": []}', "scores: List should have at least 1"),
        (
            '{"implementation": "x", "weights_sha256": "0", "scores":'
            ' [{"samples": 9, "reference": "test", "images": 9, "fid": NaN}]}',
            r"scores\[0\].fid: Input should be a finite number",
        ),
    ],
)
def test_a_damaged_file_is_named(content, complaint, tmp_path):
    path = tmp_path / "fid.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError) as error:
        read(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "make it with `snakemake" in str(error.value)
    with pytest.raises(UserError, match=complaint):
        read(path)


# Inception itself, with random weights in the standard ones' layout.


def coloured(count, seed, brightness):
    """Images of different colours, so that features differ."""
    rng = np.random.default_rng(seed)
    ground = rng.uniform(0, 200, (count, 3, 1, 1)) * brightness
    return np.clip(ground + rng.uniform(0, 55, (count, 3, 16, 16)), 0, 255).astype(np.uint8)


def test_the_score_is_torch_fidelitys(random_weights):
    a, b = coloured(5, 1, 1), coloured(4, 2, 0.5)

    class Images(torch.utils.data.Dataset):
        def __init__(self, images):
            self.images = torch.from_numpy(images)

        def __len__(self):
            return len(self.images)

        def __getitem__(self, i):
            return self.images[i]

    theirs = torch_fidelity.calculate_metrics(
        input1=Images(a),
        input2=Images(b),
        fid=True,
        cuda=False,
        cache=False,
        verbose=False,
        save_cpu_ram=True,
        feature_extractor_weights_path=str(random_weights),
    )["frechet_inception_distance"]
    extractor = load_extractor(random_weights, CPU)
    (ours,) = fid(a, {"test": b}, [5], extractor, batch=3)["scores"]
    assert theirs > 1
    assert ours["fid"] == pytest.approx(theirs, rel=1e-4)
    assert len(extractor.weights_sha256) == 64
    assert extractor.weights_sha256 != STANDARD_SHA256


# Weights that are not there.


def refused(weights):
    with pytest.raises(UserError) as error:
        load_extractor(weights, CPU)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("fid.weights: ")
    assert INCEPTION in message
    assert "torch-fidelity" in message
    assert "fid.weights: absent" in message
    return message


def test_without_a_network_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "_opener", None)  # it keeps the proxies of its first use
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:1")  # nothing listens there
    for proxy in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    message = refused(None)
    assert f"{tmp_path / 'hub/checkpoints' / INCEPTION}: is missing and cannot be downloaded" in message
    assert "Connection refused" in message
    assert not list((tmp_path / "hub/checkpoints").iterdir())


def test_a_download_that_is_not_the_file_is_not_kept(tmp_path, monkeypatch):
    (tmp_path / "page.html").write_text("<p>Please log in.</p>")
    monkeypatch.setattr("diffenc.evaluation.fid.URL_INCEPTION_V3", (tmp_path / "page.html").as_uri())
    with pytest.raises(UserError, match=r"cannot be downloaded \(invalid hash value"):
        download(tmp_path / "weights" / INCEPTION)
    assert not list((tmp_path / "weights").iterdir())


def test_what_was_downloaded_is_not_downloaded_again(tmp_path, monkeypatch):
    (tmp_path / "source").write_bytes(b"weights")
    monkeypatch.setattr("diffenc.evaluation.fid.URL_INCEPTION_V3", (tmp_path / "source").as_uri())
    monkeypatch.setattr("diffenc.evaluation.fid.STANDARD_SHA256", hashlib.sha256(b"weights").hexdigest())
    path = tmp_path / "folder" / "weights.pth"
    assert download(path) == path
    (tmp_path / "source").unlink()
    assert download(path).read_bytes() == b"weights"


def test_a_missing_file_is_named(tmp_path):
    assert f"{tmp_path / 'none.pth'}: cannot be read (No such file or directory)" in refused(tmp_path / "none.pth")


def test_damaged_and_other_files_are_refused(random_weights, tmp_path):
    path = tmp_path / "weights.pth"
    content = random_weights.read_bytes()
    for damaged in (b"", b"no weights", content[: len(content) // 2], content[:1000]):
        path.write_bytes(damaged)
        assert f"{path}: is not a file of Inception's weights" in refused(path)
    for other in ({"a": torch.zeros(3)}, [1, 2], torch.zeros(3)):
        torch.save(other, path)
        assert f"{path}: is not a file of Inception's weights" in refused(path)


def test_no_code_of_the_file_is_run(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (tmp_path.joinpath("was-run").touch, ())

    torch.save({"fc.bias": Malicious()}, tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth")
    assert not (tmp_path / "was-run").exists()


def test_the_standard_files_name_promises_its_content(random_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    path = tmp_path / "hub/checkpoints" / INCEPTION
    path.symlink_to(random_weights)
    for weights in (path, None):
        assert f"{path}: is damaged (sha256 " in refused(weights)
    assert math.isclose(int(STANDARD_SHA256[:8], 16), int(INCEPTION.split("-")[-1].removesuffix(".pth"), 16))
