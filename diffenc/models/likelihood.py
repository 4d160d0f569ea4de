"""Pixels to x and back: the scaling to (-1, 1) and the decoder p(x | z_0), a softmax over the pixel's levels."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def scale(images: Tensor, levels: int, dtype: torch.dtype) -> Tensor:
    """Pixel values k in {0..K-1}, any shape -> x = 2 (k + 1/2) / K - 1."""
    return 2 * (images.to(dtype) + 0.5) / levels - 1


def logits(z_rescaled: Tensor, gamma_0: Tensor, levels: int) -> Tensor:
    """z_0 / alpha_0, any shape -> (..., K): -(z_0 / alpha_0 - x_k)^2 exp(-gamma_0) / 2, not normalised."""
    values = scale(torch.arange(levels, device=z_rescaled.device), levels, z_rescaled.dtype)
    return -0.5 * torch.exp(-gamma_0) * (z_rescaled[..., None] - values).square()


def log_prob(images: Tensor, z_rescaled: Tensor, gamma_0: Tensor, levels: int) -> Tensor:
    """log p(x | z_0) in nats: (B, C, H, W) uint8, (B, C, H, W) -> (B,)."""
    differentiable = torch.is_grad_enabled() and (z_rescaled.requires_grad or gamma_0.requires_grad)
    return _LogProb.apply(images, z_rescaled, gamma_0, levels, differentiable).flatten(1).sum(1)


class _LogProb(torch.autograd.Function):
    """log p of each pixel. With d_k = z_0 / alpha_0 - x_k, and means E over the softmax's levels, its derivatives are

        by z_0 / alpha_0:  exp(-gamma_0) (E d - d_k)        by gamma_0:  exp(-gamma_0) (d_k^2 - E d^2) / 2

    so that what is kept for the backward pass is a number a pixel, not one for each level.
    """

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, z_rescaled: Tensor, gamma_0: Tensor, levels: int, differentiable: bool
    ) -> Tensor:
        away = z_rescaled[..., None] - scale(torch.arange(levels, device=images.device), levels, z_rescaled.dtype)
        own = z_rescaled - scale(images, levels, z_rescaled.dtype)
        snr = torch.exp(-gamma_0)
        scores = away.square().mul_(-0.5 * snr)
        best = scores.amax(-1, keepdim=True)
        # exp(-80) is nothing beside 1; and smaller numbers are slow
        shares = scores.sub_(best).clamp_(min=-80).exp_()
        total = shares.sum(-1)
        if differentiable:
            mean = shares.mul_(away).sum(-1) / total
            mean_square = shares.mul_(away).sum(-1) / total
            ctx.save_for_backward(snr * (mean - own), 0.5 * snr * (own.square() - mean_square))
        return -0.5 * snr * own.square() - best[..., 0] - total.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        by_z, by_gamma = (gradient * derivative for derivative in ctx.saved_tensors)
        return None, by_z, by_gamma.sum(), None, None


def most_likely(z_rescaled: Tensor, gamma_0: Tensor, levels: int) -> Tensor:
    """The softmax's mode: (B, C, H, W) -> (B, C, H, W) uint8."""
    return logits(z_rescaled, gamma_0, levels).argmax(-1).to(torch.uint8)
