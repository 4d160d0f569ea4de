"""A run's history for TensorBoard, line by line."""

from pathlib import Path

from diffenc.errors import UserError
from diffenc.history import Line
from diffenc.results import TERMS

FOLDER = "tensorboard"


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
