"""FID: the Fréchet distance between Gaussians fitted to the Inception features of samples and of a data set.

Network, resizing and weights are torch-fidelity's, which agree with TensorFlow's, on which published scores rest.
"""

import hashlib
import http.client
import io
import sys
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_fidelity import KEY_METRIC_FID, FeatureExtractorInceptionV3, __version__
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
from torch_fidelity.metric_fid import fid_statistics_to_metric

from diffenc.data.download import patience
from diffenc.io.arrays import save_arrays
from diffenc.io.errors import UserError
from diffenc.results.fid import FEATURES, STANDARD_SHA256, Score, Scores
from diffenc.runtime.device import exact_float32
from diffenc.study.settings import INCEPTION, NO_INCEPTION

IMPLEMENTATION = f"torch-fidelity {__version__}"
BATCH = 50  # images that go through Inception together, in about 1 GB
_REMEDY = (
    f"get {INCEPTION} from the releases of torch-fidelity on GitHub (toshas/torch-fidelity, v0.2.0) and give its"
    f" path as fid.weights (--weights); with fid.weights: {NO_INCEPTION} the table says that there are none"
)
Statistics = dict[str, NDArray[np.float64]]  # mu (d,) and sigma (d, d), as torch-fidelity calls them


class Moments:
    """Mean and covariance of vectors that come in batches, in float64.

    A batch of B with mean m_B joins n vectors with mean m by the update of Chan, Golub & LeVeque (1983):
    m += d B / (n + B) and S += S_B + d d^T n B / (n + B), with d = m_B - m and S the sum of (x - m)(x - m)^T.
    """

    def __init__(self) -> None:
        self.n, self._mean, self._scatter = 0, torch.zeros(()), torch.zeros(())

    def add(self, batch: Tensor) -> None:
        """Take in vectors (B, d)."""
        batch = batch.double()
        if not self.n:
            self._mean, self._scatter = batch.new_zeros(batch.shape[1]), batch.new_zeros(2 * batch.shape[1:])
        mean, total = batch.mean(0), self.n + len(batch)
        centred, difference = batch - mean, mean - self._mean
        self._scatter += centred.T @ centred + torch.outer(difference, difference) * (self.n * len(batch) / total)
        self._mean += difference * (len(batch) / total)
        self.n = total

    def statistics(self) -> Statistics:
        """Mean (d,) and unbiased covariance (d, d) of what came so far; at least two vectors."""
        return {"mu": self._mean.cpu().numpy().copy(), "sigma": (self._scatter / (self.n - 1)).cpu().numpy()}


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """||m_a - m_b||^2 + Tr(S_a + S_b - 2 (S_a S_b)^(1/2)), the squared 2-Wasserstein distance of two Gaussians."""
    return fid_statistics_to_metric(a, b, verbose=False)[KEY_METRIC_FID]


@dataclass(frozen=True)
class Extractor:
    """Images -> Inception's last pooled features; `weights_sha256` is that of the weights' file."""

    network: nn.Module
    weights_sha256: str
    device: torch.device

    @torch.no_grad()
    def __call__(self, images: NDArray[np.uint8]) -> Tensor:
        """(B, C, H, W) uint8 of 256 levels, grey or RGB -> (B, 2048) float32."""
        exact_float32()
        on_device = torch.from_numpy(images).to(self.device)
        (features,) = self.network(on_device.expand(-1, 3, -1, -1))
        return features


def load_extractor(weights: Path | None, device: torch.device) -> Extractor:
    """Inception with the weights of that file; with None, the standard ones, downloaded once into torch's cache.

    Other weights of the same layout are taken too, for tests; a table says if they are not the standard ones.

    Raises:
        UserError: the file is missing, damaged or of another network, or it cannot be downloaded.
    """
    path = weights or download(Path(torch.hub.get_dir(), "checkpoints", INCEPTION))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"fid.weights: {path}: cannot be read ({error.strerror}); {_REMEDY}")
    sha256 = hashlib.sha256(content).hexdigest()
    if path.name == INCEPTION and sha256 != STANDARD_SHA256:
        raise UserError(f"fid.weights: {path}: is damaged (sha256 {sha256}); delete it, then {_REMEDY}")
    try:
        # read as data, never as a pickle that may run code, which torch-fidelity would do with the path
        safe = io.BytesIO()
        torch.save(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True), safe)
        safe.seek(0)
        network = FeatureExtractorInceptionV3("fid", [str(FEATURES)], feature_extractor_weights_path=safe)
    except Exception as error:  # a zip, a pickle and a state each have errors of their own
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"fid.weights: {path}: is not a file of Inception's weights ({reason}); {_REMEDY}")
    return Extractor(network.to(device), sha256, device)


def download(path: Path) -> Path:
    """The standard weights' file at `path`, from torch-fidelity's releases if it is not there.

    Raises:
        UserError: it cannot be downloaded.
    """
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with patience():
                torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), STANDARD_SHA256, sys.stderr.isatty())
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"fid.weights: {path}: is missing and cannot be downloaded ({reason}); {_REMEDY}")
    return path


def fid(
    samples: NDArray[np.uint8],
    references: Mapping[str, NDArray[np.uint8]],
    counts: Sequence[int],
    extractor: Extractor,
    levels: int = 256,
    cache: Path | None = None,
    batch: int = BATCH,
) -> dict[str, Any]:
    """The content of fid.json: the distance of the first `count` samples to each reference, for every count.

    Args:
        samples: (N, C, H, W) uint8.
        references: {split: (M, C, H, W) uint8}, all of whose images are used.
        counts: how many samples, each at least 2.
        extractor: what `load_extractor` gave.
        levels: values a pixel can have; fewer than 256 are stretched over 0 to 255, which Inception expects.
        cache: a folder that keeps the references' statistics, as inception_SPLIT_COUNT.npz.
        batch: images at a time; it changes results by rounding only.

    Raises:
        UserError: there are fewer samples than asked for, or they have not the shape of the reference's images.
    """
    if max(counts) > len(samples):
        raise UserError(
            f"counts: {max(counts)} samples asked for, there are {len(samples)}; ask for fewer or draw more"
        )
    for name, images in references.items():
        if images.shape[1:] != samples.shape[1:]:
            raise UserError(
                f"samples: have shape {samples.shape[1:]}, the {name} images {images.shape[1:]}; name the data"
                " set that the model was trained on"
            )
    drawn = _statistics(samples, counts, extractor, levels, batch)
    known = {name: _of_reference(name, data, extractor, levels, batch, cache) for name, data in references.items()}
    scores = [
        Score(samples=n, reference=name, images=len(references[name]), fid=frechet_distance(drawn[n], known[name]))
        for n in counts
        for name in references
    ]
    return Scores(implementation=IMPLEMENTATION, weights_sha256=extractor.weights_sha256, scores=scores).model_dump()


def _statistics(
    images: NDArray[np.uint8], counts: Sequence[int], extractor: Extractor, levels: int, batch: int
) -> dict[int, Statistics]:
    """{count: the features' statistics of the first `count` images}; each image goes through the network once."""
    stretched = np.round(np.arange(levels) * (255 / (levels - 1))).astype(np.uint8)
    moments, found = Moments(), {}
    for count in sorted(set(counts)):
        for start in range(moments.n, count, batch):
            moments.add(extractor(stretched[images[start : min(start + batch, count)]]))
        found[count] = moments.statistics()
    return found


def _of_reference(
    name: str, images: NDArray[np.uint8], extractor: Extractor, levels: int, batch: int, cache: Path | None
) -> Statistics:
    """Statistics of all images; out of the cache if it has those of these images and weights."""
    if cache is None:
        return _statistics(images, [len(images)], extractor, levels, batch)[len(images)]
    facts = f"{IMPLEMENTATION} {extractor.weights_sha256} {levels} {images.shape} {_sha256(images)}"
    key, path = hashlib.sha256(facts.encode()).hexdigest(), cache / f"inception_{name}_{len(images)}.npz"
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile), np.load(path) as file:
        if str(file["key"]) == key:
            return {"mu": file["mu"], "sigma": file["sigma"]}
    found = _of_reference(name, images, extractor, levels, batch, None)
    with suppress(UserError):  # a folder that is not ours to write into costs time, not the result
        save_arrays(path, found | {"key": np.array(key)})
    return found


def _sha256(images: NDArray[np.uint8]) -> str:
    """Of the pixels, read piece by piece: they may be mapped from a file that exceeds the memory."""
    digest = hashlib.sha256()
    for start in range(0, len(images), 10_000):
        digest.update(np.ascontiguousarray(images[start : start + 10_000]))
    return digest.hexdigest()
