"""What a trained encoder does: how far it moves x, how much of its motion the counterterm cancels, its spectra.

Every norm is divided by sqrt(d): a root mean square over an image's dimensions, in units of x in (-1, 1). The noise
of an image depends on (seed, image index) alone and is the same at every time, so that models are compared paired.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffenc.evaluation.noise import draw
from diffenc.models.diffusion import Diffusion
from diffenc.models.encoders import over_pixels
from diffenc.models.schedules import alpha, sigma, sigma_squared
from diffenc.runtime.device import exact_float32
from diffenc.study.settings import Inspection
from diffenc.study.stages import SPECTRUM_TIMES, TIMES


class _Encoded(NamedTuple):
    """x_t, x_t - x, and where there is such a thing r (`diffenc.models.encoders`) and y; (B, C, H, W) each."""

    x_t: Tensor
    change: Tensor
    r: Tensor | None
    y: Tensor | None


@torch.no_grad()
def inspect(
    model: Diffusion, images: np.ndarray, settings: Inspection, batch: int, device: torch.device
) -> dict[str, np.ndarray]:
    """Norms of what the encoder does at TIMES, and power spectra at SPECTRUM_TIMES.

    Args:
        model: a trained model.
        images: (N, C, H, W) uint8, of which the first `settings.images` are looked at.
        settings: how many images, and the noise's seed.
        batch: images at a time. It changes no result.
        device: where to compute.

    Returns:
        `t`, `gamma` (T,); each norm over sqrt(d): `image` (N,) ||x||, `change` (T, N) ||x_t - x||, `encoding` (T, N)
        ||x_t||; with an encoder, `motion` (T, N) ||dx_t/dgamma|| and `residual` (T, N) ||dx_t/dgamma + sigma_t^2
        x_hat||, what the counterterm leaves of it; with a trainable one, `y` (T, N) ||y||. The identity has no
        motion to cancel: they are left out. Of the spectra (`spectrum`), as means over images: `spectrum_t` (S,),
        `frequency` and `modes` (F,), `power_x` (F,), `power_x_t` and `power_change` (S, F), of x, x_t and x_t - x.
    """
    exact_float32()
    model, images = model.to(device), images[: settings.images]
    parts = []
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(np.array(images[start : start + batch])).to(device)
        x = model.scale(pixels)
        _, _, eps = draw(settings.seed, 0, torch.arange(start, start + len(x), device=device), tuple(x.shape[1:]))
        parts.append(_norms(model, x, eps.to(x.dtype)) | _spectra(model, x))
    joined = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
    powers = {name: values.mean(axis=-1) for name, values in joined.items() if name.startswith("power")}
    norms = {name: values.astype(np.float32) for name, values in joined.items() if name not in powers}
    frequency, modes = bands(*images.shape[2:])
    gamma = model.schedule(torch.tensor(TIMES, dtype=x.dtype, device=device)).cpu().numpy()
    axes = {"t": np.array(TIMES), "gamma": gamma, "spectrum_t": np.array(SPECTRUM_TIMES)}
    return axes | {"frequency": frequency, "modes": modes} | norms | powers


def _norms(model: Diffusion, x: Tensor, eps: Tensor) -> dict[str, np.ndarray]:
    """`image` (B,) and, by time, (T, B) of the others, for x and eps (B, C, H, W)."""
    by_time: dict[str, list[np.ndarray]] = {}
    for t in TIMES:
        gamma = model.schedule(torch.full_like(x[:, 0, 0, 0], t))
        encoded = _encoded(model, x, gamma)
        found = {"change": encoded.change, "encoding": encoded.x_t}
        if encoded.y is not None:
            found["y"] = encoded.y
        if encoded.r is not None:
            found |= _motion(model, encoded, gamma, eps)
        for name, values in found.items():
            by_time.setdefault(name, []).append(_rms(values))
    return {"image": _rms(x)} | {name: np.stack(values) for name, values in by_time.items()}


def _encoded(model: Diffusion, x: Tensor, gamma: Tensor) -> _Encoded:
    x_t, r = model.encoder.with_mean_shift(x, gamma)
    return _Encoded(x_t, model.encoder.change(x, gamma), r, model.encoder.output(x, gamma))


def _motion(model: Diffusion, encoded: _Encoded, gamma: Tensor, eps: Tensor) -> dict[str, Tensor]:
    """dx_t/dgamma = -sigma^2 r, and what the counterterm leaves of it: dx_t/dgamma + sigma^2 x_hat."""
    a, s, s_squared = (over_pixels(of(gamma)) for of in (alpha, sigma, sigma_squared))
    z = a * encoded.x_t + s * eps
    x_hat = model.parameterization.x_hat(z, model.denoise(z, gamma), a, s)
    motion = -s_squared * encoded.r
    return {"motion": motion, "residual": motion + s_squared * x_hat}


def _rms(values: Tensor) -> np.ndarray:
    """(B, C, H, W) -> ||.|| / sqrt(d), (B,)."""
    return values.double().square().flatten(1).mean(1).sqrt().cpu().numpy()


def _spectra(model: Diffusion, x: Tensor) -> dict[str, np.ndarray]:
    """Spectra of x (F, B), and of x_t and x_t - x at SPECTRUM_TIMES (S, F, B)."""
    encoded = [_encoded(model, x, model.schedule(torch.full_like(x[:, 0, 0, 0], t))) for t in SPECTRUM_TIMES]
    return {
        "power_x": _power(x),
        "power_x_t": np.stack([_power(one.x_t) for one in encoded]),
        "power_change": np.stack([_power(one.change) for one in encoded]),
    }


def _power(images: Tensor) -> np.ndarray:
    return spectrum(images.cpu().numpy()).T


def bands(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bands of `spectrum`: frequencies (F,) in cycles per image, and how many Fourier modes each has (F,)."""
    modes = np.bincount(_band_of(height, width).ravel())
    return np.arange(len(modes)), modes


def spectrum(images: NDArray[np.floating]) -> NDArray[np.float64]:
    """Radially averaged power, (N, C, H, W) -> (N, F): |FFT|^2 / (H W), averaged over a band's modes and channels.

    A band has the modes whose distance from frequency 0 rounds to its frequency, the corners included, so that by
    Parseval's theorem sum(modes * spectrum) = ||image||^2 / C.
    """
    height, width = images.shape[2:]
    power = np.abs(np.fft.fft2(images.astype(np.float64), norm="ortho")) ** 2
    of_mode = power.mean(axis=1).reshape(len(images), -1)
    band = _band_of(height, width).ravel()
    return np.stack([np.bincount(band, weights=one) for one in of_mode]) / np.bincount(band)


def _band_of(height: int, width: int) -> NDArray[np.int64]:
    """The band of each Fourier mode, (H, W)."""
    vertical, horizontal = np.fft.fftfreq(height, 1 / height), np.fft.fftfreq(width, 1 / width)
    return np.rint(np.hypot(vertical[:, None], horizontal)).astype(np.int64)
