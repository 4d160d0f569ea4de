"""What a run tells while it trains: history, progress.json, TensorBoard, a bar on a terminal or lines in a log."""

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from diffenc.io.errors import UserError
from diffenc.io.files import write_file
from diffenc.study.stages import TERMS
from diffenc.training.checkpoint import PARTIAL_HISTORY, TrainingState
from diffenc.training.progress import Progress

if TYPE_CHECKING:
    from diffenc.runtime.processes import Processes

FOLDER = "tensorboard"
Line = dict[str, Any]


class SilentLogger:
    """Logger of a process that is not the first: it says nothing."""

    def begin(self, state: TrainingState) -> None:
        """The run starts, or goes on, from `state`."""

    def step(self, state: TrainingState) -> None:
        """A step was done."""

    def line(self, line: Line) -> None:
        """The history has a new line. Raises UserError if the disk is full or the folder is gone."""

    def note(self, what: str, state: TrainingState, ended: str | None = None) -> None:
        """The run is now training, stopped (by the signal `ended`) or done."""


class RunLogger(SilentLogger):
    """The first process's."""

    def __init__(self, out: Path, steps: int, processes: "Processes", precision: str, tensorboard: bool) -> None:
        self.out, self.steps = out, steps
        self.history = LiveHistory(out / PARTIAL_HISTORY)
        self.progress = Progress(out, steps, processes.device, processes.size, precision)
        self.wants_tensorboard, self.tensorboard = tensorboard, None

    def begin(self, state: TrainingState) -> None:
        """The run starts, or goes on, from `state`."""
        self.history.write(state.history)
        if self.wants_tensorboard:
            self.tensorboard = TensorBoard(self.out, state.step)
        self.progress.begin(state.step)
        self.note("training", state)
        # a bar on a terminal, plain lines in a log
        self.bar = tqdm(total=self.steps, initial=state.step, unit="step", disable=None)

    def step(self, state: TrainingState) -> None:
        """A step was done."""
        self.bar.update()
        self.progress.note(state.step, _last(state))

    def line(self, line: Line) -> None:
        """The history has a new line. Raises UserError if the disk is full or the folder is gone."""
        self.history.append(line)
        if self.tensorboard:
            self.tensorboard.append(line)
        self.bar.set_postfix(bpd=f"{line['total']:.3f}")
        if self.bar.disable:
            print(plain(line, self.steps), flush=True)

    def note(self, what: str, state: TrainingState, ended: str | None = None) -> None:
        """The run is now training, stopped (by the signal `ended`) or done."""
        self.progress.write(what, state.step, _last(state), ended)

    def cost(self) -> dict[str, Any]:
        """What the run took so far, over all its attempts."""
        return self.progress.cost()

    def was_done(self) -> None:
        """The run had been done before."""
        self.progress.was_done()
        self.history.remove()

    def end(self, state: TrainingState) -> None:
        """The run is done and published."""
        self.note("done", state, "done")
        self.bar.close()
        if self.tensorboard:
            self.tensorboard.close()
        self.history.remove()


def _last(state: TrainingState) -> Line | None:
    return state.history[-1] if state.history else None


def as_text(lines: list[Line]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def last_step(lines: list[Line]) -> int:
    """The step of the last line, 0 before the first."""
    return lines[-1]["step"] if lines else 0


def plain(line: Line, steps: int) -> str:
    """A line for people."""
    terms = ", ".join(f"{name} {line[name]:.4f}" for name in TERMS[1:])
    left = timedelta(seconds=line["seconds_left"])
    speed = f"{line['images_per_s']:.0f} images/s"
    return f"step {line['step']}/{steps}: {line['total']:.4f} bpd ({terms}), {speed}, {left} left"


class LiveHistory:
    """The file that shows the history while the run trains. Nothing reads it back: the checkpoints have the lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, lines: list[Line]) -> None:
        """Begin with the lines of the checkpoint that the run goes on from."""
        write_file(self.path, as_text(lines))

    def append(self, line: Line) -> None:
        """Add a line. Raises UserError if the disk is full or the folder is gone."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(as_text([line]))
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror}); free space, then run again to go on")

    def remove(self) -> None:
        """Delete it: the history was published."""
        self.path.unlink(missing_ok=True)


class TensorBoard:
    """Event files in the run's folder. What an earlier attempt wrote after `step` is taken back."""

    def __init__(self, run_folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = run_folder / FOLDER
        try:
            self._writer = SummaryWriter(str(self.folder), purge_step=step + 1)
        except OSError as error:
            raise self._complaint(error)

    def append(self, line: Line) -> None:
        """Add a line's numbers, and make sure that they are on disk. Raises UserError if they cannot be."""
        scalars = {f"bpd/{name}": line[name] for name in TERMS}
        scalars |= {"gamma/0": line["gamma_0"], "gamma/1": line["gamma_1"]}
        scalars["speed/images_per_s"] = line["images_per_s"]
        try:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, line["step"])
            self._writer.flush()
        except OSError as error:
            raise self._complaint(error)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _complaint(self, error: OSError) -> UserError:
        reason = error.strerror or error
        return UserError(f"{self.folder}: cannot be written ({reason}); free space, then run again to go on")
