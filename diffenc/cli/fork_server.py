"""A fork server: one process that has imported torch and pandas once, of which each small job is a fork.

Importing takes a job of the demo more than its work does. The server is started beside Snakemake; `python -m diffenc`
asks it for a fork if $DIFFENC_FORK_SERVER names one, and is that fork to whoever waits for it: the same arguments,
folder, environment and open files, the same signals, the same exit status. Without a server it does the work itself.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
from typing import Any, NoReturn, TextIO

from diffenc.runtime.signals import die_with_parent
from diffenc.study.stages import MEASUREMENTS

ADDRESS = "DIFFENC_FORK_SERVER"
_GPUS = ("/dev/nvidiactl", "/dev/kfd")  # their drivers do not go well through forks
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)
_LENGTH = struct.Struct("!I")
_COMPUTING = (
    "diffenc.training.trainer",
    "torch._dynamo",
    "diffenc.evaluation.elbo",
    "diffenc.evaluation.samples",
    "diffenc.evaluation.encoder_analysis",
    "diffenc.evaluation.finite_depth",
)
_SHOWING = (
    "diffenc.results.tests",
    "diffenc.statistics.resampling",
    "diffenc.statistics.power",
    "diffenc.reporting.tables.formatting",
    "diffenc.reporting.html.page",
    "diffenc.reporting.figures.style",  # matplotlib and seaborn
)
# Memory in huge pages, and kept once it was had: new pages take a small model a tenth to a fifth of a training step.
# glibc reads this when a process starts.
_KEEP = 1 << 32
_MEMORY = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {"hugetlb": 1, "mmap_threshold": _KEEP, "trim_threshold": _KEEP, "top_pad": 1 << 26}.items()
)
# what the server imports before it forks
_IMPORTED = {
    **dict.fromkeys(("train", "evaluate", "sample", "fid", *MEASUREMENTS), _COMPUTING),
    **dict.fromkeys(("collect", "compare", "table", "figure", "page"), _SHOWING),
}


def _imported(arguments: list[str]) -> tuple[str, ...]:
    return _IMPORTED.get(arguments[0], ()) if arguments else ()


# --- who asks -------------------------------------------------------------------------------------------------------


def run(arguments: list[str]) -> int | None:
    """The exit status of `diffenc ARGUMENTS`, done by a fork of the server; None if there is no server for it."""
    address, _, prefix = os.environ.get(ADDRESS, "").rpartition(":")
    computes = _imported(arguments) is _COMPUTING
    if not address or prefix != sys.prefix or (computes and any(map(os.path.exists, _GPUS))):
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
        except OSError:
            return None
        return _follow(connection, arguments)


def _follow(connection: socket.socket, arguments: list[str]) -> int:
    """Be the fork to whoever started this process: signals go there, its end is ours."""
    if "TORCHELASTIC_RUN_ID" in os.environ:  # one of several processes: it ends with their launcher
        die_with_parent(signal.SIGTERM)
    child, early = 0, []

    def pass_on(number: int, _: Any) -> None:
        if not child:
            early.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    ignored = [number for number in _PASSED_ON if signal.getsignal(number) == signal.SIG_IGN]
    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    os.umask(mask := os.umask(0))
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    request |= {"umask": mask, "ignored": ignored}
    content = json.dumps(request).encode()
    socket.send_fds(connection, [_LENGTH.pack(len(content))], [0, 1, 2])
    connection.sendall(content)
    with connection.makefile("rb") as answers:
        child = int(answers.readline() or 0)
        for number in early:
            pass_on(number, None)
        status = answers.readline()
    if not status:
        print("diffenc: error: the fork server is gone, and this job with it; run again", file=sys.stderr)
        return 1
    if (code := int(status)) < 0:
        _die_of(-code)
    return code


def _die_of(number: int) -> NoReturn:
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    sys.exit(128 + number)  # a signal that does not kill


# --- who starts it --------------------------------------------------------------------------------------------------


def start() -> subprocess.Popen | None:
    """Start a server that ends with this process, and name it in the environment; nothing is imported yet.

    None if there is one already, or no Linux: elsewhere libraries may not survive a fork.
    """
    if sys.platform != "linux" or _is_there(os.environ.get(ADDRESS, "")):
        return None
    folder = tempfile.mkdtemp(prefix="diffenc-")
    address = os.path.join(folder, "forks")
    settings = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    settings["GLIBC_TUNABLES"] = _MEMORY
    command = [sys.executable, "-m", "diffenc.cli.fork_server", address]
    server = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=settings | os.environ,
        start_new_session=True,  # Ctrl-C reaches those who ask, and they pass it on
    )
    server.stdout.readline()
    atexit.register(_stop, server)
    os.environ[ADDRESS] = f"{address}:{sys.prefix}"
    return server


def _stop(server: subprocess.Popen) -> None:
    server.stdin.close()
    server.wait()


def _is_there(named: str) -> bool:
    address, _, prefix = named.rpartition(":")
    with socket.socket(socket.AF_UNIX) as connection:
        return prefix == sys.prefix and not connection.connect_ex(address)


# --- the server -----------------------------------------------------------------------------------------------------


class Server:
    """Forks for each request, until its starter is gone and the last fork has ended."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        self.listener.listen(64)
        self.children: dict[int, socket.socket] = {}  # forks, and who waits for each
        self.starter: TextIO | None = sys.stdin

    def serve(self) -> list[str] | None:
        """None at the end; in each fork, the arguments that it was asked to run."""
        ended, wakeup = socket.socketpair()
        for end in (ended, wakeup):
            end.setblocking(False)
        signal.set_wakeup_fd(wakeup.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector = selectors.DefaultSelector()
        for source in (self.listener, self.starter, ended):
            self.selector.register(source, selectors.EVENT_READ)
        print("ready", flush=True)
        while self.starter or self.children:
            sources = [key.fileobj for key, _ in self.selector.select()]
            # new requests last: what was killed is gone when the next one starts
            for source in sorted(sources, key=lambda source: source is self.listener):
                if source is self.listener:
                    if self.starter and (arguments := self._answer()) is not None:
                        return arguments
                elif source is self.starter:
                    self._close()
                elif source is ended:
                    ended.recv(4096)
                    self._collect()
                else:
                    self._lost(source)
        return None

    def _close(self) -> None:
        """The starter is gone: no new forks."""
        self.selector.unregister(self.starter)
        self.selector.unregister(self.listener)
        self.starter = None
        self.listener.close()
        os.unlink(self.address)
        os.rmdir(os.path.dirname(self.address))

    def _answer(self) -> list[str] | None:
        """Fork for the next who asks: None in the server, in the fork its arguments."""
        connection, _ = self.listener.accept()
        try:
            request, files = _receive(connection)
        except (OSError, ValueError):  # gone before it said what, or only looking whether there is a server
            connection.close()
            return None
        for name in _imported(request["arguments"]):
            importlib.import_module(name)
        gc.freeze()  # what forks share is not touched by their collector
        server = os.getpid()
        if child := os.fork():
            for file in files:
                os.close(file)
            self.children[child] = connection
            self.selector.register(connection, selectors.EVENT_READ)
            with contextlib.suppress(OSError):  # killed meanwhile, which is the next that is heard of it
                connection.sendall(f"{child}\n".encode())
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for own in (self.listener, self.selector, connection, *self.children.values()):
            own.close()
        _become(request, files, server)
        return request["arguments"]

    def _collect(self) -> None:
        """Tell those who wait for forks that have ended."""
        while self.children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            connection = self.children.pop(child)
            self.selector.unregister(connection)
            with contextlib.suppress(OSError), connection:
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())

    def _lost(self, connection: socket.socket) -> None:
        """Who waited for a fork was killed: as they were one, so is the fork, before anything else starts."""
        child = next((child for child, theirs in self.children.items() if theirs is connection), None)
        if child is None:  # it has ended meanwhile
            return
        del self.children[child]
        self.selector.unregister(connection)
        connection.close()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A request, and the files that its fork is to have as 0, 1 and 2."""
    length, files, _, _ = socket.recv_fds(connection, _LENGTH.size, 3)
    if len(length) < _LENGTH.size:
        raise ValueError("no request")
    left, parts = _LENGTH.unpack(length)[0], []
    while left:
        parts.append(connection.recv(left))
        left -= len(parts[-1])
        if not parts[-1]:
            raise ValueError("half a request")
    return json.loads(b"".join(parts)), files


def _become(request: dict[str, Any], files: list[int], server: int) -> None:
    """Give this fork what a process of its own would have got from whoever asks."""
    die_with_parent(signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (open(i, mode, closefd=False) for i, mode in enumerate("rww"))  # noqa: SIM115
    sys.stderr.reconfigure(line_buffering=True, errors="backslashreplace")
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    os.umask(request["umask"])
    for number in _PASSED_ON:  # as a shell's background job and nohup leave them
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in request["ignored"] else usual)
    sys.argv = ["diffenc", *request["arguments"]]


def main() -> None:
    """Serve, and in a fork run what was asked for."""
    arguments = Server(sys.argv[1]).serve()
    if arguments is not None:
        os._exit(_run_here(arguments))  # taking down all that was imported would take longer than most jobs do


def _run_here(arguments: list[str]) -> int:
    """The exit status of `diffenc ARGUMENTS`, as the interpreter would give it."""
    from diffenc.cli.main import main

    status = 0
    try:
        main(arguments)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = 120
    return status


if __name__ == "__main__":
    main()
