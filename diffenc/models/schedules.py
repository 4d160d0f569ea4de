"""The noise schedule gamma(t) = -log SNR(t), a line or VDM's monotone network, and alpha and sigma at a gamma.

"VDM Eq." numbers are those of Variational Diffusion Models; docs/equations.md has them all.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.func import jvp


class Schedule(nn.Module, ABC):
    """gamma(t), increasing, for t in [0, 1].

    `decays`: whether weight decay pulls at its parameters, as it does in the authors' trainings.
    """

    decays = True

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """gamma(t) and dgamma / dt, at the times (B,) of a training step's images."""
        return self(t), self.dgamma_dt(t)

    def gamma(self, t: Tensor) -> Tensor:
        """gamma(t) of times of any shape."""
        return self(t)

    def shape_parameters(self) -> list[nn.Parameter]:
        """Those that move times but no end: they change the diffusion term's variance and not its mean."""
        return []

    def hear(self, losses: Tensor) -> None:
        """The diffusion term of the images whose times `at` gave last, (B,), before its backward pass."""

    @abstractmethod
    def forward(self, t: Tensor) -> Tensor:
        """gamma(t) of times of any shape, in t's precision where that is higher than the parameters'."""

    def dgamma_dt(self, t: Tensor) -> Tensor:
        """dgamma / dt at times of any shape."""
        return jvp(self, (t,), (torch.ones_like(t),))[1]

    @abstractmethod
    def ends(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma_1), both ()."""


class Line(Schedule):
    """gamma(t) = gamma_0 + gamma' t."""

    def ends(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma_1), both ()."""
        gamma_0, slope = self.line()
        return gamma_0, gamma_0 + slope

    def forward(self, t: Tensor) -> Tensor:
        """(B,) -> (B,)."""
        gamma_0, slope = self.line()
        return gamma_0 + slope * t

    def dgamma_dt(self, t: Tensor) -> Tensor:
        """gamma' at all times, ()."""
        return self.line()[1]

    @abstractmethod
    def line(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma'), both ()."""


class FixedSchedule(Line):
    """From gamma_min to gamma_max."""

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        self.register_buffer("gamma_0", torch.tensor(gamma_min), persistent=False)
        self.register_buffer("slope", torch.tensor(gamma_max - gamma_min), persistent=False)

    def line(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma'), both ()."""
        return self.gamma_0, self.slope


class LearnedSchedule(Line):
    """gamma = b + |w| t, which starts at the fixed schedule."""

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([gamma_max - gamma_min]))
        self.b = nn.Parameter(torch.tensor([gamma_min]))

    def line(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma'), both ()."""
        return self.b[0], self.w[0].abs()


class MonotoneNet(nn.Module):
    """g(t) = |l1| t + b1 + (1/n) sum_j |l3_j| tanh(h_j / 2) with h_j = |l2_j| (2 t - 1) + b2_j.

    VDM's l1(t) + l3(sigmoid(l2(l1(t)))), as its code has it. b1, which no difference of g has, is its owner's.
    """

    HIDDEN = 1024

    def __init__(self, slope: float, start: Literal["spread", "published"]) -> None:
        super().__init__()
        n = self.HIDDEN
        if start == "spread":
            # steps at times that lie evenly in [0, 1], from wide ones to those of a hundredth of it
            l2 = 2 * 100 ** (torch.arange(1, n + 1, dtype=torch.float64) * (5**0.5 - 1) / 2 % 1)
            b2, l3 = -l2 * (2 * torch.arange(n, dtype=torch.float64) + 1 - n) / n, torch.ones(n)
        else:
            l2, l3 = 0.01 * torch.randn(2, n, generator=torch.Generator().manual_seed(0))
            b2 = torch.zeros(n)
        self.l1 = nn.Parameter(torch.tensor([slope]))
        # b2 by a name that says what it is: VDM decays kernels only
        self.l2, self.bias, self.l3 = (nn.Parameter(one.float()) for one in (l2, b2, l3))

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Times (B,) -> g(t) - g(0) and g'(t), (B,), and g(1) - g(0), (), all in float64."""
        l1, l2, b2, l3 = (one.double() for one in (self.l1.abs(), self.l2.abs(), self.bias, self.l3.abs()))
        ends = t.new_tensor([0.0, 1.0], dtype=torch.float64)
        units, rate = _Units.apply(torch.cat([t.double(), ends]), l2, b2, l3)
        risen = (units - units[-2]) / self.HIDDEN
        return l1 * t + risen[:-2], l1 + rate[:-2] / self.HIDDEN, l1[0] + risen[-1]

    def offset(self) -> Tensor:
        """g(0) - b1, ()."""
        return torch.tanh((self.bias - self.l2.abs()) / 2) @ self.l3.abs() / self.HIDDEN


class _Units(Function):
    """sum_j l3_j tanh(h_j / 2) and its derivative by t, sum_j l2_j l3_j (1 - tanh^2(h_j / 2)), at times (B,).

    Written out, as each operation on (B, n) numbers would show beside a small model's step.
    """

    @staticmethod
    def forward(ctx: Any, t: Tensor, l2: Tensor, b2: Tensor, l3: Tensor) -> tuple[Tensor, Tensor]:
        around = 2 * t - 1
        tanh = torch.addmm(b2 / 2, around[:, None], l2[None] / 2).tanh_()
        falls = torch.addcmul(tanh.new_ones(()), tanh, tanh, value=-1)  # 1 - tanh^2
        ctx.save_for_backward(around, l2, l3, tanh, falls)
        return tanh @ l3, falls @ (l2 * l3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_value: Tensor, of_rate: Tensor) -> tuple[None, Tensor, Tensor, Tensor]:
        around, l2, l3, tanh, falls = ctx.saved_tensors
        value, value_around, rate = torch.stack([of_value, of_value * around, of_rate]) @ falls
        bent, bent_around = torch.stack([of_rate, of_rate * around]) @ (tanh * falls)
        of_b2 = l3 * (value / 2 - l2 * bent)
        return None, l3 * (value_around / 2 - l2 * bent_around + rate), of_b2, of_value @ tanh + l2 * rate


class MonotoneSchedule(Schedule):
    """gamma(t) = gamma_0 + (gamma_1 - gamma_0) u(t), u(t) = (g(t) - g(0)) / (g(1) - g(0)) (VDM Eq. 59).

    The shape u changes no expectation of the diffusion term, only its variance. So g's parameters descend the
    variance of L_i = gamma'(t_i) m_i, one time an image: its gradient is E[2 L_i dL_i] (VDM Eq. 60 to 62). This takes
    the loss's own backward pass: what flows into u and u' is multiplied by 2 L_i, image by image.

    Args:
        gamma_min: where gamma begins, fixed or learned.
        gamma_max: where it ends.
        learned_ends: with the networks, by the bound.
        start: of the network: its steps spread over t, so that it learns within a demo, or as in VDM's code.
        by_variance: else the shape descends the bound as all else does.
    """

    decays = False

    def __init__(
        self,
        gamma_min: float,
        gamma_max: float,
        learned_ends: bool = False,
        start: Literal["spread", "published"] = "spread",
        by_variance: bool = True,
    ) -> None:
        super().__init__()
        self.net = MonotoneNet(gamma_max - gamma_min, start)
        self.by_variance, self._losses = by_variance, None
        for name, value in {"gamma_0": gamma_min, "gamma_1": gamma_max}.items():
            if learned_ends:
                self.register_parameter(name, nn.Parameter(torch.tensor(value)))
            else:
                self.register_buffer(name, torch.tensor(value), persistent=False)

    @classmethod
    def from_flax(
        cls, params: Mapping[str, object], ends: tuple[float, float] | None = None
    ) -> "MonotoneSchedule | NetworkSchedule":
        """VDM's network, leaves such as "l2/kernel" in flax's layouts, made to run between `ends`, or as it is."""
        leaves = {name: torch.tensor(values, dtype=torch.float32) for name, values in params.items()}
        made = NetworkSchedule(0.0, 1.0) if ends is None else cls(*map(float, ends), learned_ends=True)
        for name, leaf in {"l1": "l1/kernel", "l2": "l2/kernel", "bias": "l2/bias", "l3": "l3/kernel"}.items():
            getattr(made.net, name).data = leaves[leaf].reshape(-1)
        if ends is None:
            made.bias.data = leaves["l1/bias"].reshape(-1)
        return made

    def ends(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma_1), both ()."""
        return self.gamma_0, self.gamma_1

    def forward(self, t: Tensor) -> Tensor:
        """gamma(t) of times of any shape, like t."""
        risen, _, whole = self.net(t.reshape(-1))
        return (self.gamma_0 + (self.gamma_1 - self.gamma_0) * (risen / whole)).to(t.dtype).reshape(t.shape)

    def dgamma_dt(self, t: Tensor) -> Tensor:
        """dgamma / dt at times of any shape, like t."""
        _, rate, whole = self.net(t.reshape(-1))
        return ((self.gamma_1 - self.gamma_0) * (rate / whole)).to(t.dtype).reshape(t.shape)

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """gamma(t) and dgamma / dt at times (B,), from one pass; the shape's gradient is then as the class says."""
        risen, rate, whole = self.net(t)
        self._losses, u = None, (risen / whole, rate / whole)
        for one in u:
            if self.by_variance and one.requires_grad:
                one.register_hook(self._times_losses)
        height = self.gamma_1 - self.gamma_0
        return (self.gamma_0 + height * u[0]).to(t.dtype), (height * u[1]).to(t.dtype)

    def hear(self, losses: Tensor) -> None:
        """L_i of the images whose times `at` gave last, (B,), in the unit of the loss that is descended."""
        self._losses = losses.detach()

    def shape_parameters(self) -> list[nn.Parameter]:
        """The network's, where they descend the variance."""
        return list(self.net.parameters()) if self.by_variance else []

    def _times_losses(self, grad: Tensor) -> Tensor:
        return grad if self._losses is None else 2 * self._losses * grad


class MonotoneLearnedSchedule(MonotoneSchedule):
    """The monotone schedule with learned ends."""

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__(gamma_min, gamma_max, learned_ends=True)


class NetworkSchedule(Schedule):
    """gamma(t) = g(t), as VDM's code has it: the ends are the network's own, and all descends the bound.

    `bias` is b1. Weight decay pulls at l1, l2 and l3, as at all kernels.
    """

    def __init__(self, gamma_min: float, gamma_max: float) -> None:
        super().__init__()
        self.net = MonotoneNet(gamma_max - gamma_min, "published")
        self.bias = nn.Parameter(torch.tensor([gamma_min]))

    def ends(self) -> tuple[Tensor, Tensor]:
        """(gamma_0, gamma_1), both ()."""
        gamma_0, gamma_1 = self(self.bias.new_tensor([0.0, 1.0]))
        return gamma_0, gamma_1

    def forward(self, t: Tensor) -> Tensor:
        """gamma(t) of times of any shape, like t."""
        risen, _, _ = self.net(t.reshape(-1))
        return (self.bias + self.net.offset() + risen).to(t.dtype).reshape(t.shape)

    def dgamma_dt(self, t: Tensor) -> Tensor:
        """dgamma / dt at times of any shape, like t."""
        return self.net(t.reshape(-1))[1].to(t.dtype).reshape(t.shape)


def alpha_squared(gamma: Tensor) -> Tensor:
    """alpha^2 = sigmoid(-gamma); 1 - sigma^2 would lose digits near t = 1."""
    return torch.sigmoid(-gamma)


def sigma_squared(gamma: Tensor) -> Tensor:
    """sigma^2 = sigmoid(gamma)."""
    return torch.sigmoid(gamma)


def alpha(gamma: Tensor) -> Tensor:
    """How much of x_t is in z_t."""
    return alpha_squared(gamma).sqrt()


def sigma(gamma: Tensor) -> Tensor:
    """How much noise is in z_t."""
    return sigma_squared(gamma).sqrt()
