"""Training: one loop, read from top to bottom, for the CPU and for one GPU.

Everything random in a step depends on (seed, step, position in the batch) alone (`diffenc.noise`), so resuming is
running the same command again.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from diffenc import data, noise, versions
from diffenc.assembly import build
from diffenc.checkpoint import PARTIAL_HISTORY, Checkpoints, TrainingState
from diffenc.diffusion import Diffusion, Terms, bits_per_dimension, low_discrepancy
from diffenc.errors import UserError
from diffenc.evaluate import exact_float32
from diffenc.files import write_file
from diffenc.history import LiveHistory, as_text, last_step, plain
from diffenc.interruption import Stopped, StopSignal, locked
from diffenc.noise import Purpose
from diffenc.progress import Progress
from diffenc.results import HISTORY, MODEL
from diffenc.study import Run, Training
from diffenc.weights import save_model, trained
from diffenc.zoo import model_config


class Batch(NamedTuple):
    """One step's images with all of its noise."""

    images: Tensor
    t: Tensor
    eps_0: Tensor
    eps_t: Tensor
    keys: Tensor


class Feed:
    """The training images in their order: a new permutation each epoch, batches running on across epochs."""

    def __init__(self, images: np.ndarray, batch: int, seed: int, device: torch.device) -> None:
        self.count, self.batch, self.seed, self.device = len(images), batch, seed, device
        self.images = torch.from_numpy(np.array(images)).to(device) if device.type == "cuda" else images
        self.positions = torch.arange(batch, device=device)
        self._orders: dict[int, Tensor] = {}

    def order(self, epoch: int) -> Tensor:
        """The epoch's permutation of the images, (count,)."""
        if epoch not in self._orders:
            generator = torch.Generator().manual_seed(noise.stream(self.seed, Purpose.ORDER, epoch) >> 1)
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = torch.randperm(self.count, generator=generator).to(self.device)
        return self._orders[epoch]

    def indices(self, step: int) -> Tensor:
        """Which images step `step` (from 0) sees: (batch,)."""
        first, parts, missing = step * self.batch, [], self.batch
        while missing:
            epoch, start = divmod(first, self.count)
            parts.append(self.order(epoch)[start : start + missing])
            first, missing = first + len(parts[-1]), missing - len(parts[-1])
        return torch.cat(parts)

    def __call__(self, step: int) -> Batch:
        """Images and noise of step `step` (from 0)."""
        indices = self.indices(step)
        images = self.images[indices] if torch.is_tensor(self.images) else torch.from_numpy(self.images[indices])
        shape, like = images.shape[1:], torch.empty(0, device=self.device)
        keys = noise.keys(noise.stream(self.seed, Purpose.EPS_T, step), self.positions)
        return Batch(
            images,
            low_discrepancy(noise.uniform(noise.stream(self.seed, Purpose.TIME, step)), self.batch, like),
            noise.normal(noise.split(keys, Purpose.EPS_0), shape),
            noise.normal(noise.split(keys, Purpose.EPS_T), shape),
            noise.split(keys, Purpose.DROPOUT),
        )


def optimizer_for(model: nn.Module, training: Training) -> torch.optim.AdamW:
    """AdamW that decays everything but biases: the schedule's w and b and the norms' scales as well."""
    biases = [p for name, p in model.named_parameters() if name.endswith(".bias")]
    others = [p for name, p in model.named_parameters() if not name.endswith(".bias")]
    groups = [{"params": others, "weight_decay": training.weight_decay}, {"params": biases, "weight_decay": 0.0}]
    betas = (training.beta_1, training.beta_2)
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=betas, eps=1e-8, fused=True)


def learning_rate(step: int, training: Training) -> float:
    """Linear from 0 at step 0 over the warm-up, then constant."""
    return training.learning_rate * min(1.0, step / training.warmup if training.warmup else 1.0)


@torch.no_grad()
def ema_update(average: list[Tensor], parameters: list[Tensor], rate: float) -> None:
    """average <- rate * average + (1 - rate) * parameters, in place."""
    torch._foreach_lerp_(average, parameters, 1 - rate)


def resolve(run: Run, training: Training, study: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """The run's whole configuration: written beside its results and stamped into its checkpoints."""
    return {
        "study": study,
        **run._asdict(),
        "release": manifest["release"],
        "train_sha256": manifest["train"]["sha256"],
        "shape": asdict(model_config(run.model, run.dataset)),
        "training": training.results(),
        "results_version": versions.TRAIN,
    }


class Trainer:
    """One run: its model, its state on disk, and the loop."""

    def __init__(
        self,
        run: Run,
        training: Training,
        study: str,
        data_folder: Path,
        out: Path,
        device: torch.device,
    ) -> None:
        self.training, self.out = training, out
        data.verify(data_folder)
        exact_float32()
        self.config = resolve(run, training, study, data.manifest(data_folder))
        self.feed = Feed(data.load(data_folder, "train"), training.batch, run.seed, device)
        self.model: Diffusion = build(run.model, run.dataset, run.schedule, training.dropout, run.seed).to(device)
        self.optimizer = optimizer_for(self.model, training)
        average = [p.detach().clone() for p in self.model.parameters()]
        self.state = TrainingState(self.model, average, self.optimizer)
        self.checkpoints = Checkpoints(out, self.config)
        self.history = LiveHistory(out / PARTIAL_HISTORY)
        self.progress = Progress(out, training.steps, device)
        self.bad_step = torch.tensor(-1, device=device)

    def run(self, checkpoint_steps: int | None, checkpoint_seconds: float) -> None:
        """Train to the end, from the last checkpoint if there is one, and publish the results.

        Raises:
            Stopped: a signal asked for it; the checkpoint is written.
            UserError: another job trains this run, its checkpoints are not its own or damaged, the disk is full, or
                the loss is not finite.
        """
        with locked(self.out), StopSignal() as stop:
            if not self.checkpoints.paths() and trained(self.out, self.config):
                print(f"{self.out}: is trained already; delete its {MODEL} to train it again")
                return
            self.checkpoints.restore(self.state)
            self.history.write(self.state.history)
            self._note("training")
            self._loop(checkpoint_steps, checkpoint_seconds, stop)
            self._publish()
            self._note("done")

    def _loop(self, checkpoint_steps: int | None, checkpoint_seconds: float, stop: StopSignal) -> None:
        saved, logged = time.monotonic(), (time.monotonic(), self.state.step)
        # a bar on a terminal, plain lines in a log
        bar = tqdm(total=self.training.steps, initial=self.state.step, unit="step", disable=None)
        while self.state.step < self.training.steps:
            self._step(self.state.step)
            self.state.step += 1
            step = self.state.step
            bar.update()
            self.progress.note(step, self._last_line())
            if step % self.training.log_every == 0 or step == self.training.steps:
                line = self._log(logged)
                logged = (time.monotonic(), step)
                bar.set_postfix(bpd=f"{line['total']:.3f}")
                if bar.disable:
                    print(plain(line, self.training.steps), flush=True)
            due = checkpoint_steps and step % checkpoint_steps == 0
            if stop.received or due or time.monotonic() - saved > checkpoint_seconds:
                self._save()
                saved = time.monotonic()
            if stop.received:
                self._note("stopped")
                raise Stopped(stop.received, step)
        bar.close()

    def _last_line(self) -> dict[str, Any] | None:
        return self.state.history[-1] if self.state.history else None

    def _note(self, state: str) -> None:
        self.progress.write(state, self.state.step, self._last_line())

    def _step(self, step: int) -> None:
        batch = self.feed(step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.training)
        terms = self.model.loss_terms(*batch)
        bpd = [bits_per_dimension(term.mean(), batch.images[0].numel()) for term in terms]
        loss = sum(bpd)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        ema_update(self.state.average, self.state.parameters, self.training.ema)
        with torch.no_grad():
            self.state.sums += torch.stack(bpd).double()
            # noted on the device and looked at when the host looks anyway: the loop never waits for it
            self.bad_step = torch.where((self.bad_step < 0) & ~torch.isfinite(loss), step + 1, self.bad_step)

    def _check(self) -> None:
        if (bad := self.bad_step.item()) >= 0:
            kept = "the last good checkpoint is kept" if self.checkpoints.paths() else "no checkpoint was saved"
            remedy = f"lower training.learning_rate in the study, and delete {self.out}"
            raise UserError(f"{self.out}: the loss is not finite at step {bad}; {kept}; {remedy}")
        if not all(parameter.isfinite().all() for parameter in self.state.parameters):
            raise UserError(f"{self.out}: weights are not finite after step {self.state.step}; not saved")

    def _log(self, since: tuple[float, int]) -> dict[str, Any]:
        self._check()
        seconds, steps = time.monotonic() - since[0], self.state.step - since[1]
        means = self.state.sums / (self.state.step - last_step(self.state.history))
        terms = dict(zip(Terms._fields, means.tolist(), strict=True))
        gamma_0, gamma_1 = (gamma.item() for gamma in self.model.schedule.ends())
        line = {
            "step": self.state.step,
            "epoch": round(self.state.step * self.training.batch / self.feed.count, 3),
            "total": sum(terms.values()),
            **terms,
            "gamma_0": gamma_0,
            "gamma_1": gamma_1,
            "images_per_s": round(steps * self.training.batch / seconds, 2),
            "seconds_left": round((self.training.steps - self.state.step) * seconds / steps),
        }
        self.state.sums.zero_()
        self.state.history.append(line)
        self.history.append(line)
        return line

    def _save(self) -> None:
        self._check()
        self.checkpoints.save(self.state)

    def _publish(self) -> None:
        """Final files first, then the checkpoints go: with one left, forcing a finished run would train nothing."""
        self._check()
        write_file(self.out / HISTORY, as_text(self.state.history))
        names = self.state.names
        parameters, average = (dict(zip(names, v, strict=True)) for v in (self.state.parameters, self.state.average))
        save_model(self.out, parameters, average, self.config)
        self.checkpoints.remove()
        self.history.remove()
