"""Training: one loop, read from top to bottom, for the CPU and for GPUs, in one process or shared by several.

Everything random in a step depends on (seed, step, position in the batch) alone (`diffenc.models.noise`), so resuming
is running the same command again, and the number of processes changes results by rounding only.
"""

import signal
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from diffenc import data
from diffenc.io.errors import UserError
from diffenc.io.files import locked, write_file, write_json
from diffenc.models.model import LossTerms, Model
from diffenc.runtime.processes import Processes
from diffenc.runtime.signals import Stopped, StopSignal
from diffenc.study import versions
from diffenc.study.settings import Training
from diffenc.study.stages import COST, HISTORY, MODEL
from diffenc.study.study import Run
from diffenc.training import artifacts
from diffenc.training.artifacts import configuration, save_model, trained
from diffenc.training.batches import Batches
from diffenc.training.checkpoint import Checkpoints, TrainingState
from diffenc.training.logger import Line, RunLogger, SilentLogger, as_text, last_step
from diffenc.training.step import Step
from diffenc.zoo.build import create
from diffenc.zoo.configs import MODELS, ModelConfig, adapted

# what the processes agree on after a step; anything higher is the signal that asked to stop
GO_ON, SAVE = 0, 1


def resolve(run: Run, shape: ModelConfig, training: Training, study: str, data_folder: Path) -> dict[str, Any]:
    """The run's whole configuration: written beside its results and stamped into its checkpoints."""
    shared = configuration(run, study, shape, data.manifest(data_folder), data.spec(data_folder))
    return {**shared, "training": training.results(), "results_version": versions.TRAIN}


class Trainer:
    """One run: its model, its state on disk, and the loop. The first process alone touches the run's folder."""

    def __init__(
        self,
        run: Run,
        training: Training,
        study: str,
        data_folder: Path,
        out: Path,
        device: torch.device,
        processes: Processes | None = None,
        tensorboard: bool = False,
        base: ModelConfig | None = None,
    ) -> None:
        """`base` is the model's shape where it is not the zoo's (`diffenc.zoo.configs.adapted`)."""
        self.training, self.out = training, out
        self.processes = processes or Processes(device)
        if self.processes.first:
            data.verify(data_folder)
        spec = data.spec(data_folder)
        shape = adapted(base or MODELS[run.model], spec)
        self.config = resolve(run, shape, training, study, data_folder)
        part = self.processes.part(training.batch)
        self.model: Model = create(shape, spec, run.schedule, training.dropout, run.seed).to(device)
        images = data.load(data_folder, "train", verified=True)
        self.batches = Batches(images, training.batch, run.seed, device, part, self.model.noises)
        self.step = Step(self.model, training, self.processes)
        learnt = self.step.times.state() if self.step.times else {}
        self.state = TrainingState(self.model, self.step.average, self.step.optimizer, learnt)
        self.checkpoints = Checkpoints(out, self.config)
        self.logger = (
            RunLogger(out, training.steps, self.processes, self.step.precision, tensorboard)
            if self.processes.first
            else SilentLogger()
        )
        self.bad_step = torch.tensor(-1, device=device)

    def run(self, checkpoint_steps: int | None, checkpoint_seconds: float, again: bool = False) -> None:
        """Train to the end, from the last checkpoint if there is one, and publish the results.

        A finished run is left as it is, or its results are put back if they were deleted; `again` trains it anew.

        Raises:
            Stopped: a signal asked for it; the checkpoint is written.
            UserError: another job trains this run, its checkpoints are not its own or damaged, the disk is full, or
                the loss is not finite.
        """
        with locked(self.out) if self.processes.first else nullcontext(), StopSignal() as stop:
            if again:
                self._forget()
            elif self._is_trained():
                return
            self._restore()
            self.logger.begin(self.state)
            self._loop(checkpoint_steps, checkpoint_seconds, stop)
            self._publish()

    def _forget(self) -> None:
        """What an earlier training left, but not the checkpoints of this one."""
        if self.processes.first:
            artifacts.discard(self.out)
            (self.out / MODEL).unlink(missing_ok=True)

    def _is_trained(self) -> bool:
        found = False
        if self.processes.first:
            there = trained(self.out, self.config)
            found = artifacts.put_back(self.out, self.config)
            if there and not found and artifacts.complete(self.out):
                artifacts.keep(self.out)
                found = True
            if found:
                what = "is trained already" if there else "was trained already, its results are put back"
                print(f"{self.out}: {what}; --again trains it anew")
                self.checkpoints.remove_own()
                self.logger.was_done()
        return bool(self.processes.highest(found))

    def _restore(self) -> None:
        if self.processes.first:
            self.checkpoints.restore(self.state)
        self.state.copy_from_first(self.processes)
        if self.processes.size > 1:
            # DistributedDataParallel lays its buckets out anew after the first backward pass, and sums depend on the
            # layout: a pass that is thrown away gives every step, also the first after an interruption, the final one
            self.step.loss(*self.batches(self.state.step))[0].backward()
            self.step.refuse_idle_weights()

    def _loop(self, checkpoint_steps: int | None, checkpoint_seconds: float, stop: StopSignal) -> None:
        saved, logged = time.monotonic(), (time.monotonic(), self.state.step)
        while self.state.step < self.training.steps:
            self._step(self.state.step)
            self.state.step += 1
            step = self.state.step
            self.logger.step(self.state)
            if step % self.training.log_every == 0 or step == self.training.steps:
                self._log(logged)
                logged = (time.monotonic(), step)
            due = checkpoint_steps and step % checkpoint_steps == 0
            late = self.processes.first and time.monotonic() - saved > checkpoint_seconds
            asked = self.processes.highest(stop.received or (SAVE if due or late else GO_ON))
            if asked != GO_ON:
                self._save()
                saved = time.monotonic()
            if asked > SAVE:
                stopped_by = signal.Signals(asked)
                self.logger.note("stopped", self.state, stopped_by.name)
                raise Stopped(stopped_by, step)

    def _step(self, step: int) -> None:
        means = self.step(self.batches(step), step)
        self.state.sums += means.double()
        # noted on the device and looked at when the host looks anyway: the loop never waits for it
        finite = torch.isfinite(means.sum())
        self.bad_step = torch.where((self.bad_step < 0) & ~finite, step + 1, self.bad_step)

    def _check(self) -> None:
        if (bad := self.bad_step.item()) >= 0:
            kept = "the last good checkpoint is kept" if self.checkpoints.paths() else "no checkpoint was saved"
            remedy = f"lower training.learning_rate in the study, and delete {self.out}"
            raise UserError(f"{self.out}: the loss is not finite at step {bad}; {kept}; {remedy}")
        if not all(parameter.isfinite().all() for parameter in self.state.parameters):
            raise UserError(f"{self.out}: weights are not finite after step {self.state.step}; not saved")

    def _log(self, since: tuple[float, int]) -> None:
        self._check()
        seconds, steps = time.monotonic() - since[0], self.state.step - since[1]
        means = self.state.sums / (self.state.step - last_step(self.state.history))
        terms = dict(zip(LossTerms._fields, means.tolist(), strict=True))
        gamma_0, gamma_1 = (gamma.item() for gamma in self.model.ends())
        line: Line = {
            "step": self.state.step,
            "epoch": round(self.state.step * self.training.batch / self.batches.count, 3),
            "total": sum(terms.values()),
            **terms,
            "gamma_0": gamma_0,
            "gamma_1": gamma_1,
            "images_per_s": round(steps * self.training.batch / seconds, 2),
            "seconds_left": round((self.training.steps - self.state.step) * seconds / steps),
        }
        self.state.sums.zero_()
        self.state.history.append(line)
        self.logger.line(line)

    def _save(self) -> None:
        self._check()
        if self.processes.first:
            self.checkpoints.save(self.state)
        self.logger.note("training", self.state)

    def _publish(self) -> None:
        """Final files first, kept under second names, and at the very end the checkpoints go."""
        self._check()
        if not self.processes.first:
            return
        self.logger.note("training", self.state, "done")
        write_file(self.out / HISTORY, as_text(self.state.history))
        write_json(self.out / COST, self.logger.cost())
        named = [dict(zip(self.state.names, v, strict=True)) for v in (self.state.parameters, self.state.average)]
        weights = dict(zip(("parameter", "ema"), named, strict=True)) | {"buffer": self.state.buffers}
        save_model(self.out, weights, self.config)
        artifacts.keep(self.out)
        self.checkpoints.remove()
        self.logger.end(self.state)
