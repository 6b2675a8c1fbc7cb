"""A Slurm of one node, all of it in one folder: no systemd, no database, nothing outside the folder changes."""

from __future__ import annotations

import getpass
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

#: What has to be in PATH, and the Debian package that it is in.
PROGRAMS = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "srun": "slurm-client",
    "scontrol": "slurm-client",
}
#: Debian installs daemons where the PATH of users other than root does not look.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

#: What stands for GPUs: files of devices that every machine has.
GPUS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")

#: Far more of all than the machine has, so that jobs of tests side by side do not wait for each other.
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
PlugStackConfig={folder}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=bf_interval=5
MinJobAge=3600
KillWait=30
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobcomp.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MailProg=/bin/true
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=32 RealMemory=64000 Gres=gpu:{n_gpus} State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES MaxTime=60 State=UP
PartitionName=gpu Nodes=ALL Default=NO MaxTime=60 State=UP
PartitionName=narrow Nodes=ALL Default=NO MaxTime=60 MaxCPUsPerNode=8 State=UP
"""


def missing() -> list[str]:
    """Debian packages that would have to be installed for a cluster, in order."""
    return sorted({package for program, package in PROGRAMS.items() if shutil.which(program, path=SEARCH) is None})


def free_ports(number: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def executable(path: Path, text: str) -> None:
    """Write a script."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


class Cluster:
    """One node that says it has 32 CPUs, 64,000 MB, and GPUs that are only device files.

    Partitions: `cpu` (default), `gpu`, and `narrow` with 8 CPUs.

    Parameters
    ----------
    folder
        Empty folder for configuration, sockets, state and logs; its path has to be short (sockets: 100 characters).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = folder / "bin"
        for each in ("bin", "state", "spool"):
            (folder / each).mkdir()
        host = socket.gethostname().split(".")[0]
        text = CONFIG.format(host=host, user=getpass.getuser(), folder=folder, ports=free_ports(2), n_gpus=len(GPUS))
        (folder / "slurm.conf").write_text(text, encoding="utf-8")
        gpus = "".join(f"Name=gpu File={device}\n" for device in GPUS)
        (folder / "gres.conf").write_text(gpus, encoding="utf-8")
        (folder / "plugstack.conf").write_text("", encoding="utf-8")
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        # The executor's job step starts srun without SLURM_CONF, and a real cluster has its file in /etc.
        srun = shutil.which("srun", path=SEARCH)
        executable(bin_folder / "srun", f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {srun} "$@"\n')
        # sbatch notes what it was called with, then does its work.
        sbatch = shutil.which("sbatch", path=SEARCH)
        executable(
            bin_folder / "sbatch",
            f'#!/bin/sh\nprintf "%s\\n" "$*" | head -n 1 >> {folder}/sbatch.log\nexec {sbatch} "$@"\n',
        )
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))},
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": os.pathsep.join([str(bin_folder), SEARCH]),
        }

    def run(self, *command: str, check: bool = True) -> str:
        """Output of a command of Slurm."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self) -> None:
        """Start the daemons and wait until the node is idle.

        Raises
        ------
        RuntimeError
            A daemon does not start, or the node is not idle after 30 s; with the last lines of the logs.
        """
        at = str(self.folder)
        files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munged.pid"}
        files |= {"log-file": "munged.log", "seed-file": "munge.seed"}
        try:
            # --force: a folder of pytest is private, munged wants its socket to be seen by all.
            self.run("munged", "--force", *(f"--{option}={at}/{name}" for option, name in files.items()))
            self.run("slurmctld", "-c", "-f", f"{at}/slurm.conf")
            self.run("slurmd", "-f", f"{at}/slurm.conf")
            for _ in range(150):
                if self.run("sinfo", "-h", "-p", "cpu", "-o", "%T", check=False).strip() == "idle":
                    return
                time.sleep(0.2)
            raise RuntimeError("the node is not idle after 30 s")
        except RuntimeError as error:
            logs = [path.read_text(errors="replace")[-1500:] for path in sorted(self.folder.glob("*.log"))]
            self.stop()
            raise RuntimeError("\n".join([str(error), *logs])) from None

    def stop(self) -> None:
        """Cancel all jobs and end the daemons that this object started."""
        self.cancel()
        for name in ("slurmctld", "slurmd", "munged"):
            try:
                pid = int((self.folder / f"{name}.pid").read_text())
            except (FileNotFoundError, ValueError):
                continue
            for number in (signal.SIGTERM, signal.SIGKILL):
                if not alive(pid):
                    break
                os.kill(pid, number)
                for _ in range(100):
                    if not alive(pid):
                        break
                    time.sleep(0.1)

    def cancel(self, folder: Path | None = None) -> None:
        """Cancel all jobs, or those of a folder."""
        if folder is None:
            self.run("scancel", "-u", getpass.getuser(), check=False)
        elif numbers := [job["JobId"] for job in self.jobs() if job["WorkDir"] == str(folder)]:
            self.run("scancel", *numbers, check=False)

    def jobs(self) -> list[dict[str, str]]:
        """What slurmctld knows of every job, in the order of submission; the rule is in `Comment`."""
        rows = []
        for block in self.run("scontrol", "--details", "show", "job").split("\n\n"):
            # Values may hold spaces; names of fields start with a capital and follow a space or a line's start.
            found = re.findall(r"(?:^|\s)([A-Z][\w/:]*)=(.*?)(?=\s+[A-Z][\w/:]*=|\s*$)", block, flags=re.S)
            if found:
                rows.append({name: value.strip() for name, value in found})
        return sorted(rows, key=lambda row: int(row["JobId"]))

    def completed(self) -> dict[str, dict[str, str]]:
        """The log of completed jobs (jobcomp/filetxt) by job id."""
        path = self.folder / "jobcomp.log"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        rows = [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]
        return {row["JobId"]: row for row in rows}

    def submissions(self) -> list[str]:
        """Arguments of every sbatch."""
        path = self.folder / "sbatch.log"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


if __name__ == "__main__":
    if packages := missing():
        sys.exit(f"Slurm is missing. Debian: apt-get install {' '.join(packages)}")
