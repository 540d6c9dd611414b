"""A real Slurm cluster of two nodes and a real SSH server on this computer, as an ordinary user or as root."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemons import SYSTEM_FOLDERS, free_port, kill_daemon, missing_programs, start_daemon
from program import wait_until
from ssh_server import SshServer, make_key

from backend.dispatch.ssh_login import SshAddress

__all__ = ["SlurmOverSsh", "make_key", "running_cluster"]

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sshd")
NODES = ("n1", "n2")
_SLURM_CONF = """
ClusterName=loop
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/pids/slurmctld.pid
SlurmdPidFile={folder}/pids/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1,sched_min_interval=100000
PriorityType=priority/basic
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdTimeout=10
KillWait=5
MinJobAge=300
MessageTimeout=10
TCPTimeout=2
PropagateResourceLimits=NONE
MailProg=/bin/true
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
{nodes}
PartitionName=short Nodes=ALL Default=YES MaxTime=INFINITE DefaultTime=5 State=UP
PartitionName=long Nodes=ALL MaxTime=INFINITE State=UP
"""
# Slurm counts files as graphics processors; nothing is computed on them.
_GRES_CONF = "NodeName={node} Name=gpu File=/dev/null\nNodeName={node} Name=gpu File=/dev/zero\n"


class SlurmOverSsh:
    """munged, slurmctld, two slurmd and sshd with ports and folders of their own.

    ``further`` are lines of ``slurm.conf``.
    """

    def __init__(self, folder: Path, further: Sequence[str] = ()) -> None:
        self.folder = folder
        self._further = further
        self.user = getpass.getuser()
        self.ssh = SshServer(folder, [f"SetEnv SLURM_CONF={folder}/slurm.conf"])
        self.port = self.ssh.port
        self.known_hosts = self.ssh.known_hosts
        self.key_file = self.ssh.key_file
        for name in ("state", "munge", *(f"spool/{node}" for node in NODES)):
            (folder / name).mkdir(parents=True)
        # The socket of munge must be reachable for everybody, its key for nobody else.
        folder.chmod(0o755)
        (folder / "munge").chmod(0o711)

    def start(self) -> None:
        """Start everything and wait until both nodes are idle and the SSH server answers."""
        self._start_munge()
        self._write_slurm_configuration()
        self.start_controller(forget=True)
        for node in NODES:
            self.start_node(node)
        idle = ("sinfo", "-h", "-N", "-p", "short", "-t", "idle", "-o", "%N")
        wait_until(lambda: self.slurm(*idle).split() == list(NODES), 60.0, "both nodes are idle")
        self.ssh.prepare()
        self.ssh.start()

    @property
    def address(self) -> SshAddress:
        """How it is logged in at."""
        return self.ssh.address

    def slurm(self, *command: str) -> str:
        """Output of one of Slurm's own programs; empty when it fails."""
        ended = subprocess.run(
            ["timeout", "15", *command], capture_output=True, text=True, env=self._environment(), check=False
        )
        return ended.stdout if ended.returncode == 0 else ""

    def jobs_named(self, name: str) -> list[str]:
        """States of all jobs of this name that Slurm knows, ended ones too."""
        return self.slurm("squeue", "-h", "-t", "all", f"--name={name}", "-o", "%T").split()

    def start_controller(self, *, forget: bool = False) -> None:
        """Start slurmctld and wait until it answers."""
        self._run("slurmctld", *(["-c"] if forget else []))
        wait_until(lambda: "UP" in self.slurm("scontrol", "ping"), 30.0, "slurmctld answers")

    def kill_controller(self) -> None:
        """End slurmctld as a power failure would."""
        self._kill("slurmctld")

    def start_node(self, node: str) -> None:
        """Start the slurmd of one of ``NODES``."""
        self._run("slurmd", "-N", node)

    def kill_node(self, node: str) -> None:
        """End slurmd as a power failure would; what runs there runs on."""
        self._kill(f"slurmd-{node}")

    def stop(self) -> None:
        """End all of it and whatever jobs still run; nothing of it is needed any more."""
        self.slurm("scancel", f"--user={self.user}")
        wait_until(lambda: self.slurm("squeue", "-h", "-o", "%i") == "", 30.0, "no job runs any more")
        for name in ("sshd", "slurmctld", *(f"slurmd-{node}" for node in NODES), "munged"):
            self._kill(name)
        shutil.rmtree(self.folder)

    def _start_munge(self) -> None:
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        munge = self.folder / "munge"
        self._run(
            "munged", f"--key-file={key}", f"--socket={munge}/sock", f"--pid-file={self.folder}/pids/munged.pid",
            f"--log-file={self.folder}/log/munged.log", f"--seed-file={munge}/seed", "--num-threads=2", "--force",
        )  # fmt: skip

    def _write_slurm_configuration(self) -> None:
        nodes = "\n".join(
            f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={free_port()} CPUs=2 RealMemory=2000 "
            "Gres=gpu:2"
            for node in NODES
        )
        text = _SLURM_CONF.format(
            folder=self.folder, user=self.user, controller_port=free_port(), nodes=nodes
        ) + "\n".join(self._further)
        (self.folder / "slurm.conf").write_text(text, encoding="ascii")
        gpus = "".join(_GRES_CONF.format(node=node) for node in NODES)
        (self.folder / "gres.conf").write_text(gpus, encoding="ascii")

    def _run(self, program: str, *arguments: str) -> None:
        start_daemon(self.folder, self._environment(), program, *arguments)

    def _environment(self) -> dict[str, str]:
        return {"PATH": SYSTEM_FOLDERS, "LC_ALL": "C", "SLURM_CONF": str(self.folder / "slurm.conf")}

    def _kill(self, name: str) -> None:
        kill_daemon(self.folder, name)


@contextmanager
def running_cluster(
    further: Sequence[str] = (), prepare: Callable[[Path], None] | None = None
) -> Iterator[SlurmOverSsh]:
    """A cluster for as long as the block lasts.

    ``{folder}`` in the further lines is its own folder, in which ``prepare`` may put what they name.
    """
    missing = missing_programs(PROGRAMS)
    if missing:
        words = f"not installed: {', '.join(missing)}; Debian: slurm-wlm munge openssh-server. ./test installs them."
        if os.environ.get("CI"):
            pytest.fail(f"The cluster tests cannot run, {words}")
        pytest.skip(f"NO CLUSTER WAS TESTED, {words}")
    # The path of munge's socket must stay short.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = SlurmOverSsh(folder, [line.format(folder=folder) for line in further])
    if prepare is not None:
        prepare(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
