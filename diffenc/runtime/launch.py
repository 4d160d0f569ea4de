"""Starting the processes that share one piece of work, on one machine or on the nodes of a SLURM job.

Each runs the same command line as the person did; it knows by torchrun's environment that it is one of them.
"""

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from diffenc.io.errors import UserError
from diffenc.runtime.signals import LOST, Ended

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
    from torch.distributed.launcher.api import LaunchConfig

# set in the tasks of our own srun: there, a launcher starts one node's processes
NODE = "DIFFENC_NODE"
SIGNALS = "SIGTERM,SIGINT,SIGUSR1,SIGHUP,SIGQUIT"
# a checkpoint is written after the signal, then the processes end by themselves
SECONDS_TO_STOP = 300
SECONDS_TO_MEET = 600
# srun takes the job's nodes whole: the step it is called from holds them, and a task's threads may use every core
SRUN = ("--ntasks-per-node=1", "--overlap", "--cpu-bind=none", "--kill-on-bad-exit=1", "--disable-status")


def is_worker() -> bool:
    """Whether torchrun, or `launch`, started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def launch(arguments: Sequence[str], processes: int, nodes: int) -> None:
    """Run `diffenc ARGUMENTS` as `processes` processes in all over `nodes` nodes, and wait for their end.

    Raises:
        UserError: several nodes outside of a SLURM job, or they did not find each other.
        Ended: they failed, or a signal stopped them; they have said why.
    """
    if nodes > 1 and NODE not in os.environ:
        _become_srun(arguments, processes // nodes, nodes)
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError
    from torch.distributed.launcher.api import elastic_launch

    logging.disable()  # torchrun's own account of what the processes say better
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = SIGNALS
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SECONDS_TO_STOP))  # 30 s and no choice before 2.12
    with tempfile.TemporaryDirectory(prefix="diffenc-") as logs:
        config = _config(processes, nodes, logs)
        try:
            elastic_launch(config, sys.executable)("-m", "diffenc", *arguments)
        except SignalException as stopped:
            raise Ended(128 + stopped.sigval)
        except ChildFailedError as error:
            raise _ended(error.failures, processes)
        except RendezvousError as error:
            reason = " ".join(str(error.__cause__ or error).split())
            raise UserError(f"--nodes {nodes}: they did not meet at {config.rdzv_endpoint} ({reason}); run again")


def _config(processes: int, nodes: int, logs: str) -> "LaunchConfig":
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    endpoint, name, host = _meeting_point() if nodes > 1 else ("127.0.0.1:0", uuid.uuid4().hex, True)
    config = LaunchConfig(
        nodes,
        nodes,
        processes // nodes,
        logs_specs=DefaultLogsSpecs(log_dir=logs),
        run_id=name,
        rdzv_backend="c10d",
        rdzv_endpoint=endpoint,
        # one machine needs no name, which may be in no DNS
        local_addr="127.0.0.1" if nodes == 1 else None,
        rdzv_configs={"is_host": host, "join_timeout": SECONDS_TO_MEET, "read_timeout": SECONDS_TO_MEET},
        max_restarts=0,
    )
    config.signals_to_handle = SIGNALS
    return config


def _ended(failures: Mapping[int, "ProcessFailure"], processes: int) -> Ended:
    """What the processes' ends mean: the first failure counts, but not those that were only left alone by it."""
    rank, cause = min(failures.items(), key=lambda one: (one[1].exitcode == LOST, one[1].timestamp))
    if cause.exitcode < 0:
        name = signal.Signals(-cause.exitcode).name
        return Ended(128 - cause.exitcode, f"process {rank} of {processes} was killed by {name}; run again to go on")
    return Ended(1 if cause.exitcode == LOST else cause.exitcode)


def _become_srun(arguments: Sequence[str], on_each: int, nodes: int) -> NoReturn:
    """Start this command line on every node. srun passes on signals and the tasks' exit status."""
    if "SLURM_JOB_ID" not in os.environ or not shutil.which("srun"):
        raise UserError(
            f"--nodes {nodes}: there is no SLURM job here; run inside of one of {nodes} nodes, or start torchrun"
            f" on each node by hand: torchrun --nnodes {nodes} ... -m diffenc ..."
        )
    options = [f"--nodes={nodes}", f"--ntasks={nodes}", *SRUN]
    if os.environ.get("CUDA_VISIBLE_DEVICES"):  # by itself a step may get one of a node's GPUs only
        options.append(f"--gpus-per-node={on_each}")
    # what the job asked for stands in variables that srun takes for options of the step
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    kept |= {"SLURM_JOB_ID": os.environ["SLURM_JOB_ID"], NODE: "1"}
    sys.stdout.flush()
    os.execvpe("srun", ["srun", *options, sys.executable, "-m", "diffenc", *arguments], kept)


def _meeting_point() -> tuple[str, str, bool]:
    """The address and port where the step's nodes meet, the step's name, and whether this node is the host there."""
    job, step = int(os.environ["SLURM_JOB_ID"]), int(os.environ["SLURM_STEP_ID"])
    first = _output("scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"]).split()[0]
    # below the ports that the kernel gives away by itself
    port = 20000 + (13 * job + step) % 10000
    return f"{_address(first)}:{port}", f"{job}.{step}", os.environ["SLURM_PROCID"] == "0"


def _address(node: str) -> str:
    try:
        return socket.gethostbyname(node)
    except OSError:  # a node may have a name that only SLURM knows
        found = re.search(r"NodeAddr=(\S+)", _output("scontrol", "show", "node", node))
        return socket.gethostbyname(found[1]) if found else node


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        reason = " ".join((getattr(error, "stderr", None) or str(error)).split())
        raise UserError(f"{' '.join(command)}: failed ({reason}); it is needed to find the job's nodes")
