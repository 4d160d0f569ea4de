"""Real bits: test images compressed and back, by depth and variance ratio, beside the bound and other compressors."""

import lzma
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from diffenc.compression.codec import Way, compress, decompress
from diffenc.evaluation.best_steps import even, fit_ratios
from diffenc.evaluation.finite_depth import finite_depth
from diffenc.io.errors import UserError
from diffenc.models.diffusion import Diffusion
from diffenc.models.finite_depth import Steps
from diffenc.results.finite_depth import BEST, EQUAL
from diffenc.study.settings import Compression, Depth


def compression(
    model: Diffusion,
    images: np.ndarray,
    settings: Compression,
    batch: int,
    device: torch.device,
    train: np.ndarray,
) -> dict[str, Any]:
    """What `Compressions` says, each rate of a file that was written, read and compared.

    Args:
        model: a trained model.
        images: (N, C, H, W) uint8, of which the first `settings.images` are compressed.
        settings: depths, b, images that go together, and so many training images for the ratio.
        batch: images at a time, for the bound.
        device: where to compute.
        train: (N, C, H, W) uint8.
    """
    model, images = model.to(device), np.ascontiguousarray(images[: settings.images])
    asked = Depth(depths=settings.depths, ratios=[], passes=settings.passes, images=len(images), seed=settings.seed)
    bounds = {at["T"]: at["bounds"] for at in finite_depth(model, images, asked, batch, device)["depths"]}
    rates = []
    orders = ["top_down", *["bit_swap"] * model.encoder.is_identity]
    for depth in settings.depths:
        gammas = even(model, depth)
        best = fit_ratios(model, train[: settings.fit], gammas, settings.seed, batch, device)
        for kind, ratios in ((EQUAL, np.ones(depth)), (BEST, best)):
            for order in orders:
                way = Way(Steps(gammas, ratios), settings.bits, settings.together, order)
                bound = bounds[depth][kind]["total"]
                rates.append(
                    {"T": depth, "ratio": kind, "order": order, **_coded(model, images, way), "bound": bound}
                )
    return {
        "images": len(images),
        "bits": settings.bits,
        "together": settings.together,
        "rates": rates,
        "others": {name: _other(images, encode) for name, encode in OTHERS.items()},
    }


def _coded(model: Diffusion, images: np.ndarray, way: Way) -> dict[str, Any]:
    started = time.perf_counter()
    found = compress(model, "itself", images, way)
    written = time.perf_counter()
    if not np.array_equal(decompress(model, found.content, "the file"), images):
        raise UserError("compression: the images that came back are others; this is a fault of the program")
    seconds = {"encode_s": written - started, "decode_s": time.perf_counter() - written}
    rates = {name: getattr(found, name) for name in ("net", "gross", "path", "path_se")}
    return rates | {name: round(value, 3) for name, value in seconds.items()}


def _other(images: np.ndarray, encode: Callable[[np.ndarray], bytes]) -> dict[str, float]:
    """Another compressor's rate on all images in one."""
    started = time.perf_counter()
    size = len(encode(images))
    return {"rate": 8 * size / images.size, "encode_s": round(time.perf_counter() - started, 3)}


def _sheet(images: np.ndarray) -> np.ndarray:
    """All images (N, C, H, W) in a square of them: (H', W') or (H', W', C), as codecs want them."""
    across = int(np.ceil(np.sqrt(len(images))))
    down = -(-len(images) // across)
    padded = np.concatenate([images, np.zeros((across * down - len(images), *images.shape[1:]), np.uint8)])
    _, channels, height, width = images.shape
    sheet = padded.reshape(down, across, channels, height, width).transpose(0, 3, 1, 4, 2)
    sheet = np.ascontiguousarray(sheet.reshape(down * height, across * width, channels))
    return sheet[..., 0] if channels == 1 else sheet


def _png(images: np.ndarray) -> bytes:
    from imagecodecs import png_encode

    return png_encode(_sheet(images), level=9)


def _webp(images: np.ndarray) -> bytes:
    from imagecodecs import webp_encode

    sheet = _sheet(images)
    return webp_encode(np.repeat(sheet[..., None], 3, -1) if sheet.ndim == 2 else sheet, lossless=True)


def _jpeg_xl(images: np.ndarray) -> bytes:
    from imagecodecs import jpegxl_encode

    return jpegxl_encode(_sheet(images), lossless=True, effort=9)


OTHERS: dict[str, Callable[[np.ndarray], bytes]] = {
    "lzma": lambda images: lzma.compress(images.tobytes(), lzma.FORMAT_ALONE, preset=9 | lzma.PRESET_EXTREME),
    "PNG": _png,
    "WebP": _webp,
    "JPEG XL": _jpeg_xl,
}
