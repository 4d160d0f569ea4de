"""Group norm with swish behind it, and the same with tangents carried along (`diffenc.networks.layers`)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

GROUPS = 32


class GroupNorm(nn.GroupNorm):
    """With flax's epsilon, statistics in float32 or better, and swish behind it if `activated`."""

    def __init__(self, channels: int, groups: int = GROUPS, activated: bool = True) -> None:
        super().__init__(groups, channels, eps=1e-6)
        self.activated = activated

    def forward(self, h: Tensor, tangents: int = 0) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W); with R tangents (V + R, C, H, W) both."""
        wide = h.to(torch.promote_types(h.dtype, torch.float32))
        if tangents:
            settings = self.num_groups, self.eps, self.activated, tangents
            return _NormWithTangents.apply(wide, self.weight, self.bias, *settings).to(h.dtype)
        if torch.compiler.is_compiling():
            # torch's own stays a kernel by itself there, and has had wrong gradients in bfloat16
            centre, scale = self._statistics(wide)
            normed = torch.addcmul(_over_pixels(self.bias), wide - centre, scale * _over_pixels(self.weight))
        else:
            normed = F.group_norm(wide, self.num_groups, self.weight, self.bias, self.eps)
        return (F.silu(normed) if self.activated else normed).to(h.dtype)

    def _statistics(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and 1 / standard deviation of the group that a channel is in: (B, C, 1, 1) each.

        Over pixels first, then over the group's channels: channels lie side by side in memory.
        """
        of_channels = torch.var_mean(h, dim=(2, 3), correction=0)
        variance, mean = (values.unflatten(1, (self.num_groups, -1)) for values in of_channels)
        centre = mean.mean(2, keepdim=True)
        spread = variance.mean(2, keepdim=True) + (mean - centre).square().mean(2, keepdim=True)
        return tuple(_of_channels(values, h.shape[1]) for values in (centre, torch.rsqrt(spread + self.eps)))


class _NormWithTangents(torch.autograd.Function):
    """Group norm, then swish, of V values, and the tangents at which the last R of them move: (V + R, C, H, W).

    With x the values less their group's mean, s = (mean x^2 + eps)^(-1/2), c the mean of x times the tangents, and u
    the tangents less their mean and less s^2 c x, their part along x:

        normed = w s x + b        moved = w s u        swish(normed), swish'(normed) moved

    The backward pass is written out as well: autograd's would keep, and pass over, three times as many arrays.
    """

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, activated: bool, tangents: int
    ) -> Tensor:
        still = len(h) - 2 * tangents
        away = h - _group_mean(h.mean((2, 3)), groups)
        x, u = away[:-tangents], away[-tangents:]
        s = torch.rsqrt(_group_mean(x.square().mean((2, 3)), groups) + eps)
        c = _group_mean((x[still:] * u).mean((2, 3)), groups)
        u.addcmul_(x[still:], s[still:].square() * c, value=-1)
        slope = s * _over_pixels(weight)
        normed, moved = torch.addcmul(_over_pixels(bias), x, slope), u * slope[still:]
        ctx.save_for_backward(away, normed, moved, s, c, weight)
        ctx.groups, ctx.activated, ctx.tangents = groups, activated, tangents
        if activated:
            moved = torch.ops.aten.silu_backward(moved, normed[still:])
            normed = F.silu(normed)
        return torch.cat([normed, moved])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        away, normed, moved, s, c, weight = ctx.saved_tensors
        groups, tangents = ctx.groups, ctx.tangents
        still = len(normed) - tangents
        if ctx.activated:
            gradient = _before_swish(gradient, normed, moved, still)
        x, u = away[:-tangents], away[-tangents:]
        by_moved = gradient[-tangents:]
        both = torch.cat([s, s[still:]])
        # sums over pixels, (V, C) or (R, C), of the gradients alone and times x or u
        alone, along = gradient.sum((2, 3)), (gradient * away).sum((2, 3))
        across = (by_moved * x[still:]).sum((2, 3))
        by_weight, by_bias = (both[..., 0, 0] * along).sum(0), alone[:-tangents].sum(0)
        # the same as means over groups, under the norm's weight
        pixels = away[0, 0].numel()
        alone, along, across = (_group_mean(sums * weight / pixels, groups) for sums in (alone, along, across))
        cubed = s**3
        by_h = torch.addcmul(-both * alone, gradient, both * _over_pixels(weight))
        by_value, by_rate = by_h[:-tangents], by_h[-tangents:]
        by_value.addcmul_(x, -cubed * along[:-tangents])
        by_rate.addcmul_(x[still:], -cubed[still:] * across)
        # what moves feels its rate as well: through s, c and x
        s, cubed, by_value = s[still:], cubed[still:], by_value[still:]
        by_value.addcmul_(x[still:], cubed * (s.square() * c * across - along[-tangents:]))
        by_value.addcmul_(u, -cubed * across)
        by_value.addcmul_(by_moved, -cubed * c * _over_pixels(weight)).add_(cubed * c * alone[-tangents:])
        return by_h, by_weight, by_bias, None, None, None, None


def _before_swish(gradient: Tensor, normed: Tensor, moved: Tensor, still: int) -> Tensor:
    """The gradient by `normed` and `moved` from that by swish(normed) and swish'(normed) moved; all (V + R, ...)."""
    tangents = len(moved)
    by_swish, by_rate = gradient[:-tangents], gradient[-tangents:]
    moving = normed[still:]
    s = torch.sigmoid(moving)
    # swish'' = s (1 - s) (2 + n (1 - 2 s))
    bend = torch.addcmul(s, s, s, value=-1).mul_(torch.addcmul(moving, moving, s, value=-2).add_(2))
    both = torch.cat([torch.ops.aten.silu_backward(by_swish, normed), torch.ops.aten.silu_backward(by_rate, moving)])
    both[still : len(normed)].addcmul_(bend.mul_(moved), by_rate)
    return both


def _over_pixels(values: Tensor) -> Tensor:
    return values[..., None, None]


def _group_mean(values: Tensor, groups: int) -> Tensor:
    """A channel's mean (B, C) -> its group's (B, C, 1, 1)."""
    return _of_channels(values.unflatten(1, (groups, -1)).mean(2, keepdim=True), values.shape[1])


def _of_channels(of_groups: Tensor, channels: int) -> Tensor:
    """(B, G, 1) -> (B, C, 1, 1)."""
    return _over_pixels(of_groups.expand(-1, -1, channels // of_groups.shape[1]).flatten(1))
