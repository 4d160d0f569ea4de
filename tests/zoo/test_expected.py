"""What terms come to by formula: against integrals, the models' own losses, and the paper's numbers."""

import math
from pathlib import Path

import pytest
import torch
from scipy.integrate import quad

from diffenc.data.catalog import DATASETS
from diffenc.data.pixels import counts, mean_square
from diffenc.study.published import load
from diffenc.zoo.build import assemble
from diffenc.zoo.configs import ModelConfig, model_config
from diffenc.zoo.expected import expected, latent, reconstruction

INNER, END = ([0] * 100 + [1] + [0] * 155), [1] + [0] * 255


def by_quadrature(k, gamma_0, levels):
    """-E log p of one level in bits, term by term."""
    s = math.exp(gamma_0 / 2)
    x = [2 * (j + 0.5) / levels - 1 for j in range(levels)]

    def cost(eps):
        near = range(max(0, k - 5), min(levels, k + 6))
        scores = {j: -((x[k] + s * eps - x[j]) ** 2) / (2 * s * s) for j in near}
        top = max(scores.values())
        return math.exp(-eps * eps / 2) * (
            top + math.log(sum(math.exp(one - top) for one in scores.values())) - scores[k]
        )

    return quad(cost, -9, 9, epsrel=1e-7, points=[-3, 3])[0] / (2 * math.pi) ** 0.5 / math.log(2)


@pytest.mark.parametrize(("pixels", "k"), [(INNER, 100), (END, 0)])
def test_reconstruction_is_the_integral(pixels, k):
    assert reconstruction(-13.3, pixels) == pytest.approx(by_quadrature(k, -13.3, 256), rel=1e-6)
    assert reconstruction(-11.0, pixels) == pytest.approx(by_quadrature(k, -11.0, 256), rel=1e-6)


def test_an_end_of_the_levels_costs_half():
    assert round(reconstruction(-13.3, INNER), 4) == 0.0105
    assert reconstruction(-13.3, END) == pytest.approx(reconstruction(-13.3, INNER) / 2, rel=1e-6)
    # with noise that hides all, each of 256 levels is as likely
    assert reconstruction(12.0, INNER) == pytest.approx(8, abs=1e-4)
    assert reconstruction(-30.0, INNER) == pytest.approx(0, abs=1e-12)


def test_the_papers_difference_of_total_and_diffusion_is_theirs():
    """CIFAR-10's pixels have mean 0.473 and standard deviation 0.251 in [0, 1]: E x^2 = 0.255."""
    k = round((0.5 + 0.255**0.5 / 2) * 256 - 0.5)
    pixels = [int(j in (k, 255 - k)) for j in range(256)]
    assert mean_square(pixels) == pytest.approx(0.255, abs=0.002)
    found = expected(model_config("VDMv-32", DATASETS["cifar10"]), -13.3, 5.0, pixels)
    assert found.latent == pytest.approx(0.00125, abs=1e-5)
    paper = load(Path(__file__).parents[2] / "config/published.yaml").result("cifar10", "VDMv-32", "fixed")
    assert paper.total - paper.diffusion == pytest.approx(found.latent + found.reconstruction, abs=0.001)


class Zero(torch.nn.Module):
    """A denoiser that costs no time."""

    def forward(self, z, gamma, keys=None):
        return torch.zeros_like(z)


@pytest.mark.parametrize(
    ("encoder", "process"), [("identity", None), ("non_trainable", None), ("identity", "vp"), ("identity", "cld")]
)
def test_the_loss_itself_comes_to_it(encoder, process):
    """At noise that shows, on pixels of which many lie at one end."""
    given = {"process": process, "variables": 2 if process == "cld" else 1}
    shape = ModelConfig("epsilon", 1, 32, encoder, gamma_min=-4.0, gamma_max=3.0, **given)
    model = assemble(shape, 1, 17, 8)
    model.denoiser = Zero()
    rng = torch.Generator().manual_seed(1)
    images = torch.randint(0, 27, (1000, 1, 8, 8), generator=rng).sub(10).clamp(min=0).to(torch.uint8)
    eps_0, eps_t = (torch.randn((1000, K, 8, 8), generator=rng) for K in (1, shape.variables))
    with torch.no_grad():
        terms = model.loss_terms(images, torch.rand(1000, generator=rng), eps_0, eps_t)
    pixels = counts(images.numpy(), 17)
    found = expected(shape, -4.0, 3.0, pixels)
    bits = terms.reconstruction / (64 * math.log(2))
    error = bits.std().item() / 1000**0.5
    assert found.reconstruction == pytest.approx(bits.mean().item(), abs=4 * error)
    if process:
        assert math.isnan(found.latent)
    else:
        assert found.latent == pytest.approx(terms.latent.mean().item() / (64 * math.log(2)), rel=1e-4)
    if encoder == "non_trainable":  # and not to what the identity's would
        assert abs(reconstruction(-4.0, pixels) - bits.mean().item()) > 8 * error
        assert latent(3.0, pixels) > 1.5 * found.latent


def test_what_is_learned_is_not_expected():
    for encoder in ("unet", "unet_mult_res", "mypackage:Blur"):
        shape = ModelConfig("v", 2, 32, encoder, blocks=1)
        assert all(map(math.isnan, expected(shape, -13.3, 5.0, INNER)))
