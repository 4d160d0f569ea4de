"""Derivatives that are written out by hand, against finite differences and forward-mode differentiation."""

import pytest
import torch
import torch.nn.functional as F
from gaussian import randomised

from diffenc.data.catalog import DATASETS
from diffenc.models import likelihood, noise
from diffenc.networks.group_norm import GroupNorm
from diffenc.zoo.build import build

# as many values as tangents, and thrice as many, as in the encoder's pass over t = 0, 1 and t; fewer there cannot be
VALUES_AND_TANGENTS = pytest.mark.parametrize(("values", "tangents"), [(2, 2), (6, 2)])
ACTIVATED = pytest.mark.parametrize("activated", [True, False])


def some_norm(activated, *shape):
    generator = torch.Generator().manual_seed(0)
    h = 0.7 + torch.randn(shape, generator=generator, dtype=torch.float64).to(memory_format=torch.channels_last)
    return randomised(GroupNorm(6, 3, activated).double(), scale=0.5), h.requires_grad_()


@ACTIVATED
@VALUES_AND_TANGENTS
def test_a_norms_rates_are_its_forward_mode_derivative(activated, values, tangents):
    norm, h = some_norm(activated, values + tangents, 6, 3, 4)

    def written_out(value):
        groups = value.reshape(len(value), 3, -1)
        away = groups - groups.mean(2, keepdim=True)
        normed = (away / torch.sqrt(away.square().mean(2, keepdim=True) + 1e-6)).view(value.shape)
        normed = normed * norm.weight[:, None, None] + norm.bias[:, None, None]
        return normed * torch.sigmoid(normed) if activated else normed

    found = norm(h, tangents)
    torch.testing.assert_close(found[:values], norm(h[:values]))
    _, expected = torch.func.jvp(written_out, (h[values - tangents : values],), (h[values:],))
    torch.testing.assert_close(found[values:], expected)


@ACTIVATED
@VALUES_AND_TANGENTS
def test_the_gradient_of_a_norm_with_rates_is_the_finite_difference(activated, values, tangents):
    norm, h = some_norm(activated, values + tangents, 6, 3, 4)

    def normed(h, weight, bias):
        return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (h, tangents))

    assert torch.autograd.gradcheck(normed, (h, norm.weight, norm.bias))


def test_a_norm_with_rates_in_float32_is_that_in_float64():
    # at the size of the encoder's largest layer, values far from zero beside their spread
    generator = torch.Generator().manual_seed(1)
    h, gradient = (torch.randn(8, 64, 32, 32, generator=generator) for _ in range(2))
    h[:6] += 5
    norm = randomised(GroupNorm(64), scale=0.2)
    found = [None, None]
    for i, precise in enumerate((False, True)):
        values = (h.double() if precise else h).requires_grad_()
        (norm.double() if precise else norm)(values, 2).backward(gradient.to(values.dtype))
        found[i] = [values.grad.double(), norm.weight.grad.double(), norm.bias.grad.double()]
        norm.zero_grad()
        h = h.detach()
    for ours, exact in zip(*found, strict=True):
        assert (ours - exact).norm() < 1e-5 * exact.norm()


@pytest.mark.parametrize(("levels", "gamma_0"), [(17, -2.0), (256, -6.0), (256, -13.3)])
def test_the_decoders_gradient_is_the_finite_difference(levels, gamma_0):
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, levels, (2, 1, 3, 3), generator=generator, dtype=torch.uint8)
    exact, gamma_0 = likelihood.scale(images, levels, torch.float64), torch.tensor(gamma_0, dtype=torch.float64)
    eps = torch.randn(exact.shape, generator=generator, dtype=torch.float64)

    def log_prob(eps, gamma_0):
        return likelihood.log_prob(images, exact + torch.exp(gamma_0 / 2) * eps, gamma_0, levels)

    assert torch.autograd.gradcheck(log_prob, (eps.requires_grad_(), gamma_0.requires_grad_()))


@pytest.mark.parametrize("gamma_0", [-2.0, -13.3])
def test_the_decoder_in_float32_is_a_log_softmax_in_float64(gamma_0):
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (4, 3, 8, 8), generator=generator, dtype=torch.uint8)
    eps = torch.randn(images.shape, generator=generator)
    z = (likelihood.scale(images, 256, torch.float32) + torch.exp(torch.tensor(gamma_0 / 2)) * eps).requires_grad_()
    likelihood.log_prob(images, z, torch.tensor(gamma_0), 256).sum().backward()
    precise = z.detach().double().requires_grad_()
    scores = likelihood.logits(precise, torch.tensor(gamma_0).double(), 256)
    F.cross_entropy(scores.flatten(0, -2), images.long().flatten(), reduction="sum").neg().backward()
    assert (z.grad - precise.grad).norm() < 1e-4 * precise.grad.norm()


@pytest.mark.parametrize("name", ["VDMv-2", "DiffEnc-2-nt", "DiffEnc-2-1", "DiffEnc-2-2"])
def test_three_times_in_one_pass_are_three_passes(name):
    """Values, r and gradients; under dropout, whose masks are an image's and not a time's."""
    model = randomised(build(name, DATASETS["digits"], "learned", dropout=0.3).double())
    images = torch.arange(2 * 64, dtype=torch.uint8).view(2, 1, 8, 8) % 17
    x, keys = model.scale(images), noise.keys(7, torch.arange(2))
    gamma = torch.tensor([-3.0, 1.0], dtype=torch.float64)

    def summed(*parts):
        model.zero_grad()
        sum((part * (i + 1)).square().sum() for i, part in enumerate(parts) if part is not None).backward()
        return {name: p.grad.clone() for name, p in model.encoder.named_parameters()}

    def apart():
        ends = (model.encode(x, end.expand(2), keys) for end in model.schedule.ends())
        return *ends, *model.encoder.with_mean_shift(x, gamma, keys)

    for ours, theirs in zip(model._encoded(x, gamma, keys), apart(), strict=True):
        torch.testing.assert_close(ours, theirs)
    if any(p.requires_grad for p in model.encoder.parameters()):
        torch.testing.assert_close(summed(*model._encoded(x, gamma, keys)), summed(*apart()))
