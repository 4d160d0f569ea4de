"""VDM's learned schedule against numbers of its published code (tests/parity/vdm/README.md)."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from diffenc.models.finite_depth import around, posterior_error
from diffenc.models.model import bits_per_dimension
from diffenc.models.schedules import MonotoneSchedule
from diffenc.zoo.build import assemble
from diffenc.zoo.configs import ModelConfig
from diffenc.zoo.flax_checkpoint import from_flax, parameter_name

FOLDER = Path(__file__).parents[1] / "parity/vdm"
NET = {"l1/kernel": "l1", "l2/kernel": "l2", "l2/bias": "bias", "l3/kernel": "l3"}


def schedule(arrays, ends):
    leaves = {name.removeprefix("param/gamma/"): arrays[name] for name in arrays if name.startswith("param/gamma/")}
    return MonotoneSchedule.from_flax(leaves, (arrays["ends/gamma_0"], arrays["ends/gamma_1"]) if ends else None)


def near(found, expected, within):
    assert np.abs(np.asarray(found.detach()).reshape(-1) - expected.reshape(-1)).max() <= within * max(
        np.abs(expected).max(), 1e-12
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("ends", ["", "ends/"])
@pytest.mark.parametrize("name", ["nnet", "nnet_attention"])
def test_the_schedule_alone(name, ends, dtype):
    arrays = np.load(FOLDER / f"{name}.npz")
    gamma = schedule(arrays, ends)
    t = torch.tensor(arrays["t_grid"], dtype=dtype)
    for found, expected in ((gamma.gamma(t), "gamma_grid"), (gamma.dgamma_dt(t), "rate_grid")):
        assert found.dtype == dtype
        expected = arrays[ends + expected]
        assert np.abs(found.detach().numpy() - expected).max() <= 2e-7 * np.abs(expected).max()
    grid = arrays[f"{ends}gamma_grid"]
    assert [end.item() for end in gamma.ends()] == pytest.approx(
        [grid[0], grid[-1]], abs=2e-7 * float(np.abs(grid).max())
    )
    for both, together in zip((gamma.gamma(t), gamma.dgamma_dt(t)), gamma.at(t), strict=True):
        assert torch.equal(both, together)


class Theirs:
    """Their model with our modules, and their images and noise."""

    def __init__(self, ends):
        self.arrays, self.ends = np.load(FOLDER / "nnet.npz"), ends
        self.model = assemble(ModelConfig("epsilon", layers=1, width=32), 3, 256, 8)
        self.model.schedule = schedule(self.arrays, ends)
        self.leaves = self.arrays["network_leaves"].tolist()
        self.parameters = dict(self.model.named_parameters())
        for leaf in self.leaves:
            base, step = self.arrays[f"base_step/{leaf}"]
            parameter = self.parameters[self.ours(leaf)]
            parameter.data = from_flax(leaf, base + step * self.arrays[f"q/{leaf}"], parameter.shape)
        assert len(self.leaves) == len(list(self.model.denoiser.parameters()))

    @staticmethod
    def ours(leaf):
        leaf = re.sub(r"/(dense\d)/", r"/TimeEmbedding_0/\1/", leaf)
        return parameter_name(re.sub(r"/((down|mid|up)\.)", r"/VDMUNet_0/\1", leaf))

    def batch(self):
        images, *noise = (torch.tensor(self.arrays[name]).movedim(-1, 1) for name in ("images", "eps_0", "eps_t"))
        return images, torch.tensor(self.arrays["t"]), *noise

    def terms(self):
        return self.model.loss_terms(*self.batch())

    def __getitem__(self, name):
        return self.arrays[("ends/" if self.ends else "") + name]

    def bpd(self, nats):
        return bits_per_dimension(nats, 3 * 8 * 8)

    def shape_gradients(self, kind):
        """(ours, theirs) of the schedule's leaves; the wrapping cancels l1's bias."""
        prefix = f"{kind}/shape/" if self.ends else f"{kind}/gamma/"
        return [(getattr(self.model.schedule.net, ours).grad, self[prefix + leaf]) for leaf, ours in NET.items()]


@pytest.fixture(params=[False, True], ids=["published", "ends"])
def theirs(request):
    return Theirs(request.param)


def test_terms_and_gradients_by_the_bound(theirs):
    terms = theirs.terms()
    for found, name in zip(terms, ("loss_recon", "loss_latent", "loss_diffusion"), strict=True):
        near(found, theirs[name], 1e-5)
    bpd = theirs.bpd(terms.total).mean()
    assert bpd.item() == pytest.approx(theirs["bpd"].item(), rel=1e-5)
    bpd.backward()
    for found, expected in theirs.shape_gradients("grad_bpd"):
        near(found, expected, 1e-2 if expected.size == 1 else 2e-3)
    ends = {"gamma_0": theirs.model.schedule.gamma_0, "gamma_1": theirs.model.schedule.gamma_1} if theirs.ends else {}
    for name, end in ends.items():
        near(end.grad, theirs[f"grad_bpd/{name}"], 1e-2)
    if not theirs.ends:
        near(theirs.model.schedule.bias.grad, theirs["grad_bpd/gamma/l1/bias"], 1e-2)
        gradients = [theirs.parameters[theirs.ours(leaf)].grad for leaf in theirs.leaves]
        norms = np.array([gradient.norm().item() for gradient in gradients])
        np.testing.assert_allclose(norms, theirs["grad_bpd_norm"], rtol=1e-4, atol=1e-5 * norms.max())


def test_the_shape_descends_the_second_moment(theirs):
    """Theirs by plain differentiation of the squares; ours, of the fitted form, in the bound's own backward pass."""
    terms = theirs.terms()
    if theirs.ends:
        theirs.model.schedule.hear(theirs.bpd(terms.diffusion))
        theirs.bpd(terms.total).mean().backward()
    else:
        theirs.bpd(terms.diffusion).square().mean().backward()
    second = theirs.bpd(terms.diffusion).square().mean().item()
    assert second == pytest.approx(theirs["second_moment"].item(), rel=1e-5)
    for found, expected in theirs.shape_gradients("grad_second_moment"):
        near(found, expected, 1e-2 if expected.size == 1 else 2e-3)
    if theirs.ends:  # these descend the bound
        for name in ("gamma_0", "gamma_1"):
            near(getattr(theirs.model.schedule, name).grad, theirs[f"grad_bpd/{name}"], 1e-2)


def test_depth_t():
    theirs = Theirs(False)
    images, _, eps_0, eps = theirs.batch()
    depth = int(theirs["T"])
    steps = torch.tensor(theirs["discrete_t"] * depth).round().long()
    difference, variance = posterior_error(
        theirs.model, theirs.model.scale(images), *around(theirs.model.schedule, steps, depth), eps
    )
    diffusion = depth * difference.square().flatten(1).sum(1) / variance / 2
    near(diffusion, theirs["discrete_loss_diffusion"], 1e-5)
    terms = theirs.model.loss_terms(images, steps / depth, eps_0, eps)
    bpd = theirs.bpd(terms.reconstruction + terms.latent + diffusion).mean()
    assert bpd.item() == pytest.approx(theirs["discrete_bpd"].item(), rel=1e-5)
    bpd.backward()
    for found, expected in theirs.shape_gradients("grad_discrete_bpd"):
        near(found, expected, 1e-2 if expected.size == 1 else 2e-3)
    near(theirs.model.schedule.bias.grad, theirs["grad_discrete_bpd/gamma/l1/bias"], 1e-2)
    gradients = [theirs.parameters[theirs.ours(leaf)].grad for leaf in theirs.leaves]
    norms = np.array([gradient.norm().item() for gradient in gradients])
    np.testing.assert_allclose(norms, theirs["grad_discrete_bpd_norm"], rtol=1e-4, atol=1e-5 * norms.max())


def test_the_denoiser_and_an_ancestral_step():
    theirs = Theirs(False)
    arrays, model = theirs.arrays, theirs.model
    z, eps = (torch.tensor(arrays[name]).movedim(-1, 1) for name in ("z", "sample_eps"))
    with torch.no_grad():
        found = model.denoise(z, torch.tensor(arrays["gamma"])).movedim(1, -1).numpy()
        i, steps = int(arrays["sample_i"]), int(arrays["T"])
        z_s = model.sample_step(z, (steps - i - 1) / steps, (steps - i) / steps, eps).movedim(1, -1).numpy()
    np.testing.assert_allclose(found, arrays["eps_hat"], atol=1e-5 * np.abs(arrays["eps_hat"]).max())
    np.testing.assert_allclose(z_s, arrays["z_s"], atol=1e-5 * np.abs(arrays["z_s"]).max())
