"""What the denoiser predicts, v or epsilon or x, and what follows from it: x_hat, and how far it is off.

z_t = alpha x_t + sigma eps and v = alpha eps - sigma x_t. Below, `a` and `s` are alpha and sigma, of shapes that go
with those of images (B, C, H, W).
"""

from abc import ABC, abstractmethod

from torch import Tensor


class Parameterization(ABC):
    """One way to read the denoiser's output."""

    @abstractmethod
    def x_hat(self, z: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """The prediction of x_t from the output at z_t."""

    @abstractmethod
    def v(self, z: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """v_hat = (alpha z_t - x_hat) / sigma."""

    @abstractmethod
    def error(self, x_t: Tensor, eps: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """eps - eps_hat, for z_t = alpha x_t + sigma eps."""

    @abstractmethod
    def missed(self, x_t: Tensor, eps: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """x_t - x_hat."""


class V(Parameterization):
    """v_hat: eps - eps_hat = alpha (v - v_hat), x_t - x_hat = -sigma (v - v_hat)."""

    def x_hat(self, z: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """x_hat = alpha z_t - sigma v_hat."""
        return a * z - s * output

    def v(self, z: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """The output."""
        return output

    def error(self, x_t: Tensor, eps: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """alpha (v - v_hat)."""
        return a * (a * eps - s * x_t - output)

    def missed(self, x_t: Tensor, eps: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """-sigma (v - v_hat)."""
        return -s * (a * eps - s * x_t - output)


class Epsilon(Parameterization):
    """eps_hat."""

    def x_hat(self, z: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """x_hat = (z_t - sigma eps_hat) / alpha."""
        return (z - s * output) / a

    def v(self, z: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """(eps_hat - sigma z_t) / alpha."""
        return (output - s * z) / a

    def error(self, x_t: Tensor, eps: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """The error itself."""
        return eps - output

    def missed(self, x_t: Tensor, eps: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """-(sigma / alpha) (eps - eps_hat)."""
        return -s / a * (eps - output)


class X(Parameterization):
    """x_hat itself."""

    def x_hat(self, z: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """The output."""
        return output

    def v(self, z: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """(alpha z_t - x_hat) / sigma."""
        return (a * z - output) / s

    def error(self, x_t: Tensor, eps: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """-(alpha / sigma) (x_t - x_hat)."""
        return -a / s * (x_t - output)

    def missed(self, x_t: Tensor, eps: Tensor, output: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """The error itself."""
        return x_t - output


PARAMETERIZATIONS: dict[str, Parameterization] = {"v": V(), "epsilon": Epsilon(), "x": X()}
