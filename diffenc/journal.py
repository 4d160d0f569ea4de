"""What a run tells while it trains: history, progress.json, TensorBoard, a bar on a terminal or lines in a log."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from diffenc.checkpoint import PARTIAL_HISTORY, TrainingState
from diffenc.history import Line, LiveHistory, plain
from diffenc.progress import Progress
from diffenc.tensorboard import TensorBoard

if TYPE_CHECKING:
    from diffenc.processes import Processes


class Silence:
    """The journal of a process that is not the first: the first one tells for all."""

    def begin(self, state: TrainingState) -> None:
        """The run starts, or goes on, from `state`."""

    def step(self, state: TrainingState) -> None:
        """A step was done."""

    def line(self, line: Line) -> None:
        """The history has a new line. Raises UserError if the disk is full or the folder is gone."""

    def note(self, what: str, state: TrainingState, ended: str | None = None) -> None:
        """The run is now training, stopped (by the signal `ended`) or done."""


class Journal(Silence):
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
