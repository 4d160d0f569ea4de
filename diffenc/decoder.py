"""Pixels to x and back: the scaling to (-1, 1) and the decoder p(x | z_0), a softmax over the pixel's levels."""

import torch
from torch import Tensor


def scale(images: Tensor, levels: int, dtype: torch.dtype) -> Tensor:
    """Pixel values k in {0..K-1}, any shape -> x = 2 (k + 1/2) / K - 1."""
    return 2 * (images.to(dtype) + 0.5) / levels - 1


def logits(z_rescaled: Tensor, gamma_0: Tensor, levels: int) -> Tensor:
    """z_0 / alpha_0, any shape -> (..., K): -(z_0 / alpha_0 - x_k)^2 exp(-gamma_0) / 2, not normalised."""
    values = scale(torch.arange(levels, device=z_rescaled.device), levels, z_rescaled.dtype)
    return -0.5 * torch.exp(-gamma_0) * (z_rescaled[..., None] - values).square()


def log_prob(images: Tensor, z_rescaled: Tensor, gamma_0: Tensor, levels: int) -> Tensor:
    """log p(x | z_0) in nats: (B, C, H, W) uint8, (B, C, H, W) -> (B,)."""
    all_levels = torch.log_softmax(logits(z_rescaled, gamma_0, levels), dim=-1)
    return all_levels.gather(-1, images.long()[..., None]).flatten(1).sum(1)


def most_likely(z_rescaled: Tensor, gamma_0: Tensor, levels: int) -> Tensor:
    """The softmax's mode: (B, C, H, W) -> (B, C, H, W) uint8."""
    return logits(z_rescaled, gamma_0, levels).argmax(-1).to(torch.uint8)
