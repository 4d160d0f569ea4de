"""A real SLURM cluster on this machine: MariaDB, slurmdbd, slurmctld and three nodes with two GPUs each that are not
there, the third apart. Everything lies in one folder and uses its own ports and sockets, but for the configuration in
/etc/slurm: jobs lose the variable that would name another place.

By hand: `python tests/slurm/cluster.py /some/folder` starts one, and stops it at Ctrl-C.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

CONFIGURATION = Path("/etc/slurm")
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sacctmgr")
ACCOUNT = "physics"
NODES = ("n1", "n2")
APART = "n3"  # a partition of its own, where nothing happens to others
GPUS = 4

# GPUs are named by device files that every machine has; memory and processors are what the profile asks for, not
# what this machine has: the demo's models are small. Who takes more memory than was given is killed by SLURM's own
# watch, once a second: the kernel's control groups would do it for jobs on most clusters, but here they belong to the
# machine or the container that the tests run in, and many let nobody make new ones.
SLURM_CONF = """\
ClusterName=testcluster
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=15
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
MinJobAge=300
KillWait=30
InactiveLimit=0
SchedulerParameters=batch_sched_delay=1,sched_interval=5,bf_interval=5
SlurmdParameters=config_overrides
SlurmctldTimeout=30
SlurmdTimeout=300
OverTimeLimit=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[dbd]}
AccountingStoragePass={folder}/munge/socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
AccountingStorageEnforce=associations
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SlurmctldPort={ports[ctld]}
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
SlurmdLogFile={folder}/slurmd-%n.log
SrunPortRange={ports[srun]}-{last_srun_port}
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[n1]} CPUs=16 RealMemory=200000 Gres=gpu:h100:2
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[n2]} CPUs=16 RealMemory=200000 Gres=gpu:h100:2
NodeName=n3 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[n3]} CPUs=16 RealMemory=200000 Gres=gpu:h100:2
PartitionName=gpu Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
PartitionName=preemptible Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=scavenge Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=CANCEL
PartitionName=apart Nodes=n3 MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=OFF
"""
GRES_CONF = """\
NodeName=n1 Name=gpu Type=h100 File=/dev/zero
NodeName=n1 Name=gpu Type=h100 File=/dev/full
NodeName=n2 Name=gpu Type=h100 File=/dev/zero
NodeName=n2 Name=gpu Type=h100 File=/dev/full
NodeName=n3 Name=gpu Type=h100 File=/dev/zero
NodeName=n3 Name=gpu Type=h100 File=/dev/full
"""
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports[dbd]}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[sql]}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""
DATABASE = """\
CREATE DATABASE slurm_acct_db;
CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1';
"""
FILES = {"slurm.conf": SLURM_CONF, "gres.conf": GRES_CONF, "slurmdbd.conf": SLURMDBD_CONF}
OURS = "# written by diffenc's tests\n"


class Cluster:
    """Started on entering, stopped on leaving."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen] = {}
        self.written: list[Path] = []

    def __enter__(self) -> "Cluster":
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing or os.getuid() != 0:
            raise RuntimeError(f"a cluster needs root and {', '.join(missing) or 'its programs'}: run `make slurm`")
        try:
            self._write_configuration()
            self._start_munge()
            self._start_database()
            self._start_slurm()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if "slurmctld" in self.daemons:
            self.run("scancel", "--full", "--signal=KILL", "--user=root", check=False)
            time.sleep(1)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for path in self.written:
            path.unlink()

    def run(self, *command: str, check: bool = True) -> str:
        """What a SLURM command prints."""
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if check and ended.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {ended.stderr}")
        return ended.stdout

    def queue(self, states: str = "all") -> dict[str, tuple[str, str, str]]:
        """{job: (state, folder, comment)}; Snakemake's comment names the rule and the wildcards."""
        lines = self.run("squeue", "--noheader", f"--states={states}", "--format=%i|%T|%Z|%k").splitlines()
        return {job: tuple(rest) for job, *rest in (line.split("|", 3) for line in lines)}

    def restart_nodes(self) -> None:
        """Kill every node's slurmd and start it again; their jobs do not notice."""
        for node in NODES:
            self.daemons[f"slurmd-{node}"].kill()
            self.daemons[f"slurmd-{node}"].wait()
        time.sleep(3)
        for node in NODES:
            self._start_node(node)
        # a star: does not answer
        self._until("the nodes", lambda: not re.search(r"down|drain|\*", self.run("sinfo", "-h", "-o", "%T")))
        time.sleep(3)  # slurmctld asks them for their jobs

    def said(self) -> str:
        """How the nodes and the jobs are, and what the daemons said last."""
        logs = [f"{path.name}:\n{path.read_text()[-1500:]}" for path in sorted(self.folder.glob("slurm*.log"))]
        seen = [self.run(*command.split(), check=False) for command in ("sinfo -N -o %N|%T|%E", "squeue", "ss -tlnp")]
        return "\n".join([*seen, *logs])

    def _start_node(self, node: str) -> None:
        self._daemon(f"slurmd-{node}", "slurmd", "-D", "-N", node)

    def _write_configuration(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("state", "tmp"):
            (self.folder / name).mkdir()
        ports = {name: _free_port() for name in ("dbd", "sql", "ctld", *NODES, APART)}
        ports["srun"] = _free_range()
        values = {
            "folder": self.folder,
            "host": socket.gethostname(),
            "ports": ports,
            "last_srun_port": ports["srun"] + RANGE - 1,
        }
        self.ports = ports
        CONFIGURATION.mkdir(exist_ok=True)
        for file, text in FILES.items():
            path = CONFIGURATION / file
            if path.exists() and not path.read_text().startswith(OURS):
                raise RuntimeError(f"{path}: is not of these tests; they would disturb this machine's own cluster")
            path.write_text(OURS + text.format(**values))
            path.chmod(0o600)  # slurmdbd insists
            self.written.append(path)

    def _start_munge(self) -> None:
        place = self.folder / "munge"
        place.mkdir()
        (place / "key").write_bytes(os.urandom(1024))
        (place / "key").chmod(0o400)
        for path in (place, place / "key"):
            shutil.chown(path, "munge", "munge")
        options = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        files = [f"--{option}={place / name}" for option, name in options.items()]
        self._daemon("munged", "munged", "--foreground", "--force", *files, user="munge")
        self._until("munge", lambda: (place / "socket").exists())

    def _start_database(self) -> None:
        data, at = self.folder / "mariadb", self.folder / "mariadb.socket"
        install = [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
        ]
        subprocess.run([*install, "--user=root", "--skip-test-db"], check=True, capture_output=True)
        options = [f"--datadir={data}", f"--socket={at}", f"--port={self.ports['sql']}", "--bind-address=127.0.0.1"]
        options += [f"--tmpdir={self.folder / 'tmp'}", "--innodb-buffer-pool-size=64M", "--user=root"]
        self._daemon("mariadbd", "mariadbd", "--no-defaults", *options)
        client = ["mariadb", "--no-defaults", f"--socket={at}", "--user=root"]
        self._until("MariaDB", lambda: _succeeds([*client, "--execute=SELECT 1"]))
        subprocess.run(client, input=DATABASE, text=True, check=True, capture_output=True)

    def _start_slurm(self) -> None:
        self._daemon("slurmdbd", "slurmdbd", "-D")
        add = ["sacctmgr", "--immediate", "add"]
        self._until("slurmdbd", lambda: _succeeds([*add, "cluster", "testcluster"]))
        self.run(*add, "account", ACCOUNT, "Description=tests", "Organization=tests")
        self.run(*add, "user", "root", f"Account={ACCOUNT}", check=False)
        self._daemon("slurmctld", "slurmctld", "-D")
        for node in (*NODES, APART):
            self._start_node(node)
        self._until("the nodes", lambda: set(self.run("sinfo", "-h", "-o", "%t", check=False).split()) == {"idle"})

    def _daemon(self, name: str, *command: str, user: str | None = None) -> None:
        log = (self.folder / f"{name}.out").open("a")
        # a session of its own: Ctrl-C in the tests is not for the cluster
        self.daemons[name] = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],  # it does not outlive killed tests
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            user=user,
        )

    def _until(self, what: str, ready) -> None:
        deadline = time.monotonic() + 60
        while not ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not start; see the logs in {self.folder}")
            time.sleep(0.2)


RANGE = 200


def _free_port() -> int:
    """One that the system does not hand out: a daemon that comes back must find it free."""
    while True:
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", random.SystemRandom().randrange(29200, 32700)))
            return one.getsockname()[1]


def _free_range() -> int:
    """The first of many neighbouring ports, below those that the system hands out."""
    return 21000 + os.getpid() % 40 * RANGE


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    with Cluster(Path(sys.argv[1]).resolve()) as cluster:
        print(cluster.run("sinfo"), flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
