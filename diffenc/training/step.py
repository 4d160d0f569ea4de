"""One training step: loss, gradients, AdamW, moving average. Nothing in it makes the host wait for a GPU."""

import torch
from torch import Tensor

from diffenc.io.errors import UserError
from diffenc.models.model import Model
from diffenc.runtime.device import allow_tf32, compute_dtype, resolve_precision
from diffenc.runtime.processes import Processes
from diffenc.study.settings import Training
from diffenc.training.batches import Batch
from diffenc.training.objective import Loss
from diffenc.training.times import AdaptiveTimes


def optimizer_for(model: Model, training: Training) -> torch.optim.AdamW:
    """AdamW that decays everything but biases: the learned line's w and b and the norms' scales as well.

    A schedule's shape has a learning rate of its own; each group keeps its one as `rate`.
    """
    shape = model.schedule.shape_parameters()
    own, kept = ({id(p) for p in some} for some in (shape, model.undecayed()))
    others = [
        (p, name.endswith(".bias") or id(p) in kept) for name, p in model.named_parameters() if id(p) not in own
    ]
    groups = [
        {"params": [p for p, undecayed in others if not undecayed]},
        {"params": [p for p, undecayed in others if undecayed], "weight_decay": 0.0},
        {"params": shape, "weight_decay": 0.0, "rate": training.shape_rate},
    ]
    defaults = {"lr": 0.0, "weight_decay": training.weight_decay, "betas": (training.beta_1, training.beta_2)}
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], **defaults, eps=1e-8, fused=True)
    for group in optimizer.param_groups:
        group.setdefault("rate", training.learning_rate)
    return optimizer


def warmed_up(step: int, training: Training) -> float:
    """The share of a learning rate at step `step`: linear from 0 over the warm-up, then 1."""
    return min(1.0, step / training.warmup if training.warmup else 1.0)


@torch.no_grad()
def ema_update(average: list[Tensor], parameters: list[Tensor], rate: float) -> None:
    """average <- rate * average + (1 - rate) * parameters, in place."""
    torch._foreach_lerp_(average, parameters, 1 - rate)


class Step:
    """A model in training: with its optimizer and its moving average, in the precision that the settings ask for.

    Args:
        model: on its device.
        training: the protocol.
        processes: those that share the batch.
    """

    def __init__(self, model: Model, training: Training, processes: Processes) -> None:
        self.model, self.training, self.processes, device = model, training, processes, processes.device
        self.precision = resolve_precision(training.precision, device)
        # convolutions in TF32 turn the encoder's gradients away (benchmarks/README.md)
        allow_tf32(products=self.precision == "bf16", convolutions=False)
        model.compute_in(compute_dtype(self.precision))
        adaptive = training.times == "adaptive"
        self.times = AdaptiveTimes(model.schedule, training.batch, processes) if adaptive else None
        self.loss = processes.data_parallel(Loss(model, training.objective, device, self.times))
        self.optimizer = optimizer_for(model, training)
        self.parameters = list(model.parameters())
        self.average = [parameter.detach().clone() for parameter in self.parameters]

    def __call__(self, batch: Batch, step: int) -> Tensor:
        """Do step `step` (from 0) -> the bound's three terms over the global batch, (3,) bits per dimension."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * warmed_up(step, self.training)
        loss, terms = self.loss(*batch)
        self.optimizer.zero_grad()
        loss.backward()
        if not self.optimizer.state:
            self.refuse_idle_weights()
        self.optimizer.step()
        if self.times:
            self.times.learn()
        ema_update(self.average, self.parameters, self.training.ema)
        return self.processes.mean(terms)

    def refuse_idle_weights(self) -> None:
        """After a pass: a weight without a gradient has no moments, which checkpoints hold. Raises UserError."""
        for name, parameter in self.model.named_parameters():
            if parameter.grad is None:
                raise UserError(
                    f"{name}: takes no part in the loss, so it cannot be trained; take it out of the model"
                )
