"""Signals that ask a running training to stop, and how its process then ends."""

import ctypes
import signal
from types import FrameType

# the exit status of a process that another one left alone (EX_UNAVAILABLE): the reason is with that one
LOST = 69
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Ended(Exception):
    """This process ends, with that exit status; it says nothing if another one has said why."""

    def __init__(self, status: int, said: str = "") -> None:
        super().__init__(said)
        self.status = status


class Stopped(Ended):
    """The run was asked to stop, and did, with its checkpoint written."""

    def __init__(self, asked_by: signal.Signals, step: int) -> None:
        # what a shell reports for a death by that signal: to SLURM and to Snakemake the job did not succeed
        said = f"stopped by {asked_by.name} after step {step}, checkpoint written; run again to go on"
        super().__init__(128 + asked_by, said)
        self.asked_by = asked_by


class StopSignal:
    """Within its context, the signals that ask to stop are only noted; the loop stops where it is safe."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> "StopSignal":
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number)


def die_with_parent(number: signal.Signals) -> None:
    """Have Linux send this signal if the process that started this one dies, however that happens."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, number)
