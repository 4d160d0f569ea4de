"""What a person sees of many jobs: a line for each that ended, and on a terminal bars for those that run.

Nothing here knows Snakemake: `workflow/rules/terminal.smk` tells it what happens.
"""

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from diffenc.results.progress import Content, read

REFRESHES = 2  # a second


class _Left(ProgressColumn):
    """How long it will still take, or of what has no end in sight how long it took so far."""

    def render(self, task: Task) -> Text:
        left = task.fields.get("left")
        return Text(
            f"{for_people(task.elapsed or 0)}     " if left is None else f"{for_people(left)} left", style="dim"
        )


class _Done(ProgressColumn):
    """Steps done of all."""

    def render(self, task: Task) -> Text:
        return Text("" if task.total is None else f"{task.completed:.0f}/{task.total:.0f}")


class _Bars(Progress):
    """Bars that are brought up to date before each drawing."""

    def __init__(self, display: "Display", console: Console) -> None:
        self.display = display
        name = TextColumn("{task.description}", table_column=Column(ratio=3, no_wrap=True, overflow="ellipsis"))
        columns = (name, BarColumn(bar_width=None, table_column=Column(ratio=2)), _Done(), _Left())
        super().__init__(*columns, console=console, transient=True, expand=True, refresh_per_second=REFRESHES)

    def get_renderables(self) -> Iterable:
        """What is drawn: the whole comes last."""
        self.display.refresh()
        yield self.make_tasks_table(sorted(self.tasks, key=lambda task: task.id == self.display.whole))


class Display:
    """Jobs as they start and end.

    Args:
        title: what the whole is called.
        stream: where to; bars only if it is a terminal.
    """

    def __init__(self, title: str, stream: TextIO) -> None:
        self.console = Console(file=stream, highlight=False, soft_wrap=True)
        self.counts: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.trainings: set[str] = set()
        self.running: dict[int, _Job] = {}
        self.bars: _Bars | None = None
        self.whole: TaskID | None = None
        self.title, self.total, self.done = title, 0, 0
        self._looked = 0.0

    def plan(self, counts: dict[str, int]) -> None:
        """So many jobs of each rule are to be done."""
        self.counts, self.total = Counter(counts), sum(counts.values())
        if self.console.is_terminal and self.bars is None:
            self.bars = _Bars(self, self.console)
            self.whole = self.bars.add_task(self.title, total=self.total, left=None)
            self.bars.start()
        else:
            self.say(f"{self.title}: {self.total} jobs, {', '.join(f'{n} {rule}' for rule, n in counts.items())}")

    def start(self, job: int, rule: str, what: str, folder: Path | None) -> None:
        """A job starts, about `what`; a training tells in its run's folder how far it is."""
        bar = None
        if self.bars:
            bar = self.bars.add_task(f"{rule} {what}", total=None, left=None)
        if folder:
            self.trainings.add(rule)
        self.running[job] = _Job(rule, f"{rule} {what}".strip(), folder, bar)

    def end(self, job: int) -> None:
        """A job succeeded."""
        one = self._remove(job)
        if one is None:
            return
        self.done += 1
        self.counts[one.rule] -= 1
        took = time.monotonic() - one.started
        self.seconds[one.rule].append(took)
        number = f"{self.done:{len(str(self.total))}}/{self.total}"
        self.say(f"[{number}] {one.name} {for_people(took)}{_result(one)}", "green")

    def fail(self, job: int, message: str) -> None:
        """A job failed; it may be tried again."""
        self._remove(job)
        self.say(message, "bold red")

    def say(self, text: str, style: str = "") -> None:
        """A line, or several, above the bars."""
        self.console.print(Text(text, style=style if self.console.is_terminal else ""))

    def close(self) -> None:
        """Nothing runs any more."""
        if self.bars:
            self.bars.stop()
            self.bars = None

    def refresh(self) -> None:
        """Look how far the trainings are, once a second."""
        if not self.bars or time.monotonic() - self._looked < 1:
            return
        self._looked = time.monotonic()
        for job in list(self.running.values()):
            if job.folder and (found := read(job.folder)) and found["state"] == "training":
                left = found["seconds_left"]
                if left is not None:
                    # the file is some seconds old
                    left = max(0.0, left - max(0.0, time.time() - found["time"]))
                    job.left = left
                with contextlib.suppress(KeyError):  # it may have ended just now: a thread draws
                    self.bars.update(job.bar, total=found["steps"], completed=_step(found, left), left=left)
        self.bars.update(self.whole, total=self.total, completed=self.done, left=self._left())

    def _left(self) -> float | None:
        """Seconds until all is done: each rule's jobs left, at what others took, shared by as many as run."""
        if not self.seconds or not self.running:
            return None
        # rules of which nothing is known yet are short, as most that are not trainings
        short = [s for rule, of_rule in self.seconds.items() if rule not in self.trainings for s in of_rule]
        usual = sum(short) / len(short) if short else 0.0
        of = {rule: sum(values) / len(values) for rule, values in self.seconds.items()}
        left, now = 0.0, time.monotonic()
        for rule, n in self.counts.items():
            running = [job for job in self.running.values() if job.rule == rule]
            for job in running:
                expected = of.get(rule, usual) - (now - job.started)
                left += max(0.0, expected if job.left is None else job.left)
            typical = of.get(rule) or max([usual, *((now - job.started) + job.left for job in running if job.left)])
            left += max(0, n - len(running)) * typical
        return left / len(self.running)

    def _remove(self, job: int) -> "_Job | None":
        one = self.running.pop(job, None)
        if one and self.bars and one.bar is not None:
            self.bars.remove_task(one.bar)
        return one


class _Job:
    def __init__(self, rule: str, name: str, folder: Path | None, bar: TaskID | None) -> None:
        self.rule, self.name, self.folder, self.bar = rule, name, folder, bar
        self.started, self.left = time.monotonic(), None


def _step(found: Content, left: float | None) -> float:
    if not left or not found["seconds_left"]:
        return found["step"]
    return found["steps"] - (found["steps"] - found["step"]) * left / found["seconds_left"]


def _result(job: _Job) -> str:
    """A training's last loss."""
    found = read(job.folder) if job.folder else {}
    return f", {found['bpd']:.3f} bpd in training" if found and found["bpd"] is not None else ""


def for_people(seconds: float) -> str:
    """1:05, or 1:02:03."""
    text = str(timedelta(seconds=round(seconds)))
    return text.removeprefix("0:").removeprefix("0") if seconds < 3600 else text
