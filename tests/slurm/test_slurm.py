"""The profile on a real Slurm of one node: what jobs ask for, failures, time limits, interruption.

Slurm's own records are compared with the rules. There is no GPU (device files stand for them), no second node, no
shared file system and no database of accounts, and nothing holds jobs to their memory, so none of these can fail here.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import yaml
from cgdistill.io.csv_tables import read_table
from cgdistill.io.lammps_dump import read_dump

#: What Slurm writes where there is nothing.
NONE = "(null)"

RULES = """
rule all:
    input:
        "plain.txt", "gpu.txt", "gres.txt", "prior.txt",

rule plain:
    output: "plain.txt"
    threads: 3
    resources: mem_mb=700, runtime=5
    shell: "echo {threads} > {output}"

rule on_gpu:
    output: "gpu.txt"
    threads: 2
    resources: mem_mb=600, runtime=6, gpu=1, slurm_partition="gpu"
    shell: "echo $CUDA_VISIBLE_DEVICES > {output}"

rule on_gres:
    output: "gres.txt"
    resources: mem_mb=500, runtime=7, gres="gpu:1"
    shell: "echo $CUDA_VISIBLE_DEVICES > {output}"

# Two short jobs of a group.
rule split_frames:
    output: "split.txt"
    group: "preparation"
    resources: mem_mb=300, runtime=2
    shell: "echo $SLURM_JOB_ID > {output}"

rule fit_prior:
    input: "split.txt"
    output: "prior.txt"
    group: "preparation"
    resources: mem_mb=400, runtime=3
    shell: "echo $SLURM_JOB_ID > {output}"
"""

BROKEN = """
rule all:
    input: "broken.txt", "whole.txt"

rule broken:
    output: "broken.txt"
    log: "logs/broken.log"
    resources: mem_mb=lambda wildcards, attempt: 100 * attempt, runtime=2
    shell: "echo 'the reason why' > {log}; exit 3"

rule whole:
    output: "whole.txt"
    shell: "sleep 2; touch {output}"
"""

MANY = """
rule all:
    input: expand("{number}.txt", number=range(6))

rule many:
    output: "{number}.txt"
    threads: 4
    resources: mem_mb=100, runtime=10, slurm_partition="narrow"
    shell: "sleep 600"
"""

CONFIG = "tests/configs/end-to-end.yaml"
#: Models whose simulations are disturbed, and folders of their runs below `simulations`.
DISTURBED = {
    "limit": ("T2/ensemble", ["T2/ensemble/replica-1", "T2/ensemble/replica-2"]),
    "killed": ("T/seed-1", ["T/seed-1/replica-1"]),
}
#: Ten seconds on an idle core; a checkpoint has to come within the minute where other jobs take most of it.
N_STEPS, CHECKPOINT_STEPS, FRAME_STEPS, DISTURBED_FROM = 12_000, 500, 50, 1000
PRODUCTS = ("equilibration.lammpstrj", "trajectory.lammpstrj", "thermo.csv", "final.data", "last_frames.lammpstrj")


def snakemake(root, folder, *arguments, patient=False):
    """Snakemake's command with the profile; what is added suits a cluster without accounts that is asked at once."""
    program = ["-m", "snakemake"] if patient else [Path(__file__).parent / "impatient.py"]
    command = [sys.executable, *program, "--directory", folder, "--profile", root / "slurm"]
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1"]
    return list(map(str, [*command, *arguments]))


def run(cluster, folder, command, cwd):
    """Exit status and output of a command, and Slurm's records of the jobs that belong to its folder."""
    done = subprocess.run(
        command, env=cluster.environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=900
    )
    return SimpleNamespace(
        folder=folder, status=done.returncode, text=done.stdout + done.stderr, jobs=jobs_of(cluster, folder)
    )


def run_rules(root, cluster, folder, text, *arguments):
    """A run of a Snakefile on the cluster."""
    folder.mkdir()
    (folder / "Snakefile").write_text(text, encoding="utf-8")
    return run(cluster, folder, snakemake(root, folder, "-s", folder / "Snakefile", *arguments), folder)


def workflow_folder(root, folder):
    """A folder in which the workflow itself can run."""
    folder.mkdir()
    for name in ("config", "resources", "tests"):
        (folder / name).symlink_to(root / name)
    return folder


def jobs_of(cluster, folder):
    """Records of the jobs of a folder."""
    return [job for job in cluster.jobs() if job["WorkDir"] == str(folder)]


def of_rule(jobs, rule):
    """Records of the jobs of a rule; the executor puts its name into the comment."""
    return [job for job in jobs if re.match(rf"(rule|group)_{rule}(_|$)", job["Comment"])]


def submissions(cluster, folder, rule):
    """Arguments of sbatch for a rule's jobs of a folder, in order."""
    named = re.compile(rf"rule_{rule}[_ ]")  # the wildcards follow
    return [call for call in cluster.submissions() if named.search(call) and f" -D {folder} " in call]


def asked(job):
    """CPUs, memory / MB, time limit and partition of a job, as Slurm granted them."""
    tres = dict(word.split("=", 1) for word in job["TRES"].split(","))
    return int(tres["cpu"]), tres["mem"], job["TimeLimit"], job["Partition"]


def prepare_simulations(root, folder):
    """Everything before simulations of T and T2, without Slurm; returns a function that goes on with other targets.

    Simulations get a minute, since Slurm knows no shorter limit.
    """
    config = yaml.safe_load((root / CONFIG).read_text(encoding="utf-8"))
    simulation = config["simulation"]
    step_ps = simulation["timestep_fs"] / 1000
    simulation["equilibration_ps"] = 500 * step_ps
    simulation["production_ps"] = (N_STEPS - 500) * step_ps
    simulation["frame_every_ps"] = simulation["thermo_every_ps"] = FRAME_STEPS * step_ps
    simulation["checkpoint_every_steps"] = CHECKPOINT_STEPS
    config["structure"]["cdf"]["resolved_every_ps"] = FRAME_STEPS * step_ps
    simulation["replicas"]["teacher_ensemble"] = 2
    workflow_folder(root, folder)
    (folder / "short.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")

    def local(place, *targets):
        command = [sys.executable, "-m", "snakemake", "-s", root / "Snakefile", "--directory", place, "--cores", "2"]
        command = [*command, "--configfile", folder / "short.yaml", "--", *targets]
        done = subprocess.run(list(map(str, command)), cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]

    local(folder, *(f"results/end-to-end/models/{model}/card.json" for model, _ in DISTURBED.values()))
    return local


def step_of(state):
    """Step of a checkpoint; 0 where there is none."""
    try:
        return json.loads(state.read_text(encoding="utf-8"))["step"]
    except FileNotFoundError:
        return 0


def simulate(root, cluster, prepared, folder, number, *arguments):
    """Simulate a variant on the cluster; its process gets a signal as soon as it has come to a checkpoint.

    In a copy of what is prepared; the folder's name says which variant.
    """
    shutil.copytree(prepared, folder, symlinks=True)
    variant, (first, *_) = DISTURBED[folder.name]
    state = folder / "results/end-to-end/checkpoints/simulations" / first / "state.json"
    command = snakemake(root, folder, "-s", root / "Snakefile", "--configfile", prepared / "short.yaml", *arguments)
    with ThreadPoolExecutor() as pool:
        done = pool.submit(run, cluster, folder, [*command, "--", f"results/end-to-end/simulations/{variant}"], root)
        while step_of(state) < DISTURBED_FROM and not done.done():
            time.sleep(0.02)
        script = f"{folder}/.snakemake/scripts/"
        for process in psutil.process_iter(["cmdline"]):
            if any(word.startswith(script) for word in process.info["cmdline"] or ()):
                process.send_signal(number)
        return done.result()


@pytest.fixture(scope="module")
def at_once(root, cluster, tmp_path_factory):
    """Runs on the cluster, side by side, since each of them mostly waits; a function that gives one by its name."""
    base = tmp_path_factory.mktemp("slurm")
    limited = RULES.replace('"gpu.txt", "gres.txt", "prior.txt",', '"gres.txt",').replace('"echo ', '"sleep 5; echo ')
    with ThreadPoolExecutor(max_workers=8) as pool:

        def start(name, text, *arguments):
            return pool.submit(run_rules, root, cluster, base / name, text, *arguments)

        def simulations():
            prepared, local = base / "prepared", prepare_simulations(root, base / "prepared")
            # Where other jobs take most of the machine, the second attempt may be too short as well.
            often = ["--retries", "5", "--set-threads", "simulate=1", "--set-resources", "simulate:gres='gpu:1'"]
            often += ["simulate:runtime=attempt", "simulate:mem_mb=1500 * attempt"]
            limit = pool.submit(simulate, root, cluster, prepared, base / "limit", signal.SIGSTOP, *often)
            longer = ["--set-threads", "simulate=1", "--set-resources", "simulate:runtime=30", "simulate:gpu=1"]
            longer += ["simulate:mem_mb=1500 * attempt"]
            killed = pool.submit(simulate, root, cluster, prepared, base / "killed", signal.SIGKILL, *longer)
            shutil.copytree(prepared, base / "whole", symlinks=True)
            local(base / "whole", *(f"results/end-to-end/simulations/{model}" for model, _ in DISTURBED.values()))
            return {"limit": limit.result(), "killed": killed.result()}

        longest = pool.submit(simulations)
        command = snakemake(root, workflow_folder(root, base / "workflow"), "-s", root / "Snakefile")
        command += ["--configfile", str(root / CONFIG), "--until", "fit_prior"]
        others = {
            "finished": start("finished", RULES),
            "broken": start("broken", BROKEN, "--retries", "1"),
            "limits": start("limits", limited, "--resources", "mem_mb=650", "runtime=6"),
            "workflow": pool.submit(run, cluster, base / "workflow", command, root),
        }
        yield lambda name: longest.result()[name] if name in DISTURBED else others[name].result()


@pytest.fixture(scope="module")
def finished(at_once):
    """The run of RULES."""
    done = at_once("finished")
    assert done.status == 0, done.text[-6000:]
    return done


def test_jobs_get_what_rules_ask_for(finished):
    (plain,), (gpu,), (gres,) = (of_rule(finished.jobs, name) for name in ("plain", "on_gpu", "on_gres"))
    assert asked(plain) == (3, "700M", "00:05:00", "cpu")
    assert asked(gpu) == (2, "600M", "00:06:00", "gpu")
    assert asked(gres) == (1, "500M", "00:07:00", "cpu")
    assert {job["JobState"] for job in (plain, gpu, gres)} == {"COMPLETED"}


def test_gpu_is_asked_for_in_either_way(finished, cluster):
    """By --gpus where the rule says gpu, by --gres where it says gres, never by both; the job sees the device."""
    (plain,), (gpu,), (gres,) = (of_rule(finished.jobs, name) for name in ("plain", "on_gpu", "on_gres"))
    assert (gpu.get("TresPerJob"), gpu.get("TresPerNode")) == ("gres:gpu:1", None)
    assert (gres.get("TresPerJob"), gres.get("TresPerNode")) == (None, "gres:gpu:1")
    assert {"TresPerJob", "TresPerNode"}.isdisjoint(plain) and plain["JOB_GRES"] == NONE
    assert gpu["JOB_GRES"] == gres["JOB_GRES"] == "gpu:1"
    devices = [(finished.folder / name).read_text() for name in ("gpu.txt", "gres.txt")]
    assert {device.strip() for device in devices} <= set("0123") and "" not in devices
    (gpu_call,), (gres_call,) = (submissions(cluster, finished.folder, rule) for rule in ("on_gpu", "on_gres"))
    assert "--gpus=1" in gpu_call and "--gres" not in gpu_call
    assert "--gres=gpu:1" in gres_call and "--gpus" not in gres_call


def test_short_jobs_share_a_job(finished):
    """The group has the larger memory and the sum of the times, since its rules follow each other."""
    folder = finished.folder
    (group,) = of_rule(finished.jobs, "preparation")
    assert asked(group) == (1, "400M", "00:05:00", "cpu")
    assert (folder / "split.txt").read_text() == (folder / "prior.txt").read_text() == group["JobId"] + "\n"


def test_failing_job_is_reported_with_its_log(root, at_once, cluster):
    """After its retries, each with the memory of its attempt; what does not need it is made all the same."""
    done = at_once("broken")
    assert done.status == 1
    assert "the reason why" in done.text and "FAILED" in done.text
    broken = of_rule(done.jobs, "broken")
    assert [(job["JobState"], asked(job)[1]) for job in broken] == [("FAILED", "100M"), ("FAILED", "200M")]
    assert all(cluster.completed()[job["JobId"]]["JobState"] == "FAILED" for job in broken)
    assert (done.folder / "whole.txt").exists()
    (whole,) = of_rule(done.jobs, "whole")
    profile = yaml.safe_load((root / "workflow/profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    assert profile["default-resources"] == {"mem_mb": 2000, "runtime": 30}
    assert asked(whole) == (1, "2000M", "00:30:00", "cpu")


def test_no_job_asks_for_more_than_the_site_has(at_once, cluster):
    """The limits that docs/clusters.md names: each job is cut to them, and they do not add up over jobs."""
    done = at_once("limits")
    assert done.status == 0, done.text[-6000:]
    (plain,), (gres,) = (of_rule(done.jobs, name) for name in ("plain", "on_gres"))
    assert asked(plain) == (3, "650M", "00:05:00", "cpu")
    assert asked(gres) == (1, "500M", "00:06:00", "cpu")
    first, second = (cluster.completed()[job["JobId"]] for job in (plain, gres))
    assert max(first["StartTime"], second["StartTime"]) < min(first["EndTime"], second["EndTime"])


def test_interrupting_cancels_what_runs_and_what_waits(root, cluster, tmp_path):
    """Two jobs fill a partition, four wait; after SIGINT (Ctrl-C) none is left."""
    (tmp_path / "Snakefile").write_text(MANY, encoding="utf-8")
    with open(tmp_path / "out.txt", "w") as out:
        process = subprocess.Popen(
            snakemake(root, tmp_path, "-s", tmp_path / "Snakefile", patient=True),
            env=cluster.environment,
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A process of a shell's background ignores SIGINT, and hands that down.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

        def states():
            return sorted(job["JobState"] for job in jobs_of(cluster, tmp_path))

        try:
            for _ in range(300):
                if states() == ["PENDING"] * 4 + ["RUNNING"] * 2 or process.poll() is not None:
                    break
                time.sleep(0.2)
            assert states() == ["PENDING"] * 4 + ["RUNNING"] * 2, (tmp_path / "out.txt").read_text()[-3000:]
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=90) != 0
        finally:
            if process.poll() is None:
                process.kill()
                cluster.cancel(tmp_path)
    for _ in range(100):
        if states() == ["CANCELLED"] * 6:
            return
        time.sleep(0.2)
    left = states()
    cluster.cancel(tmp_path)
    assert left == ["CANCELLED"] * 6


def test_rules_of_the_workflow(root, at_once):
    """The workflow's own rules up to the prior: one job for the mapping, one for the group, as the rules ask."""
    done = at_once("workflow")
    assert done.status == 0, done.text[-6000:]
    (mapping,), (group,) = (of_rule(done.jobs, name) for name in ("map_trajectory", "preparation"))
    assert len(done.jobs) == 2
    assert asked(mapping)[:2] == asked(group)[:2] == (1, "2000M")
    assert mapping["TimeLimit"] == "00:30:00"
    assert group["TimeLimit"] == "01:00:00"
    assert list((done.folder / "results/end-to-end").rglob("*prior*"))


@pytest.mark.parametrize("option", ["--profile", "--workflow-profile"])
def test_profile_has_its_name_in_the_root(root, executor, option):
    """`snakemake --profile slurm` and `--workflow-profile slurm` find it and plan the workflow."""
    command = [sys.executable, "-m", "snakemake", option, "slurm", "--dry-run", "--configfile", "config/paper.yaml"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-3000:]
    assert re.search(r"Using .*profile.* slurm ", text), text[:500]
    assert re.search(r"^simulate +39$", text, re.M)


def compared(at_once, name):
    """A disturbed simulation: its run on the cluster, and for each of its runs the folder, that of the same run without
    disturbance, the step of its last start, and the steps at which SIGTERM came."""
    done = at_once(name)
    assert done.status == 0, done.text[-6000:]
    model, runs = DISTURBED[name]
    results = Path("results/end-to-end/simulations")
    log = (done.folder / f"logs/end-to-end/simulations/{model}/simulate.log").read_text(encoding="utf-8")
    found = []
    for run_folder in runs:
        label = run_folder.replace("replica-", "").replace("/", " ")
        (start,) = map(int, re.findall(rf"{label}: going on from step (\d+)", log))
        cuts = sorted(set(map(int, re.findall(rf"{label}: SIGTERM at step (\d+)", done.text))))
        folder, whole = (place / results / run_folder for place in (done.folder, done.folder.parent / "whole"))
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        assert (record["status"], record["step"]) == ("finished", N_STEPS)
        found.append((folder, whole, start, cuts))
    return done, found


def frames_of(folder):
    """All frames of a run."""
    return [frame for name in PRODUCTS[:2] for frame in read_dump(folder / name)]


def test_simulation_over_its_limit_goes_on_in_another_job(at_once, cluster):
    """One that hangs until Slurm ends it after its minute: checkpoint, twice the time and memory, the same run.

    Up to the checkpoint the same to the last digit, within 1e-5 A for 200 steps more; later ones part, since forces
    are evaluated anew where a run was cut.
    """
    done, runs = compared(at_once, "limit")
    jobs = of_rule(done.jobs, "simulate")
    assert [job["JobState"] for job in jobs] == ["TIMEOUT"] * (len(jobs) - 1) + ["COMPLETED"] and len(jobs) > 1
    assert [asked(job) for job in jobs] == [
        (1, f"{1500 * attempt}M", f"00:{attempt:02}:00", "cpu") for attempt in range(1, len(jobs) + 1)
    ]
    first = jobs[0]["JobId"]
    assert cluster.completed()[first]["JobState"] == "TIMEOUT"
    assert "TIMEOUT" in done.text and first in done.text
    for folder, whole, start, cuts in runs:
        assert 0 < cuts[0] < N_STEPS - 200, "the process was not stopped in time"
        assert start == cuts[-1] >= DISTURBED_FROM
        pairs = list(zip(frames_of(folder), frames_of(whole), strict=True))
        assert [frame.step for frame, _ in pairs] == list(range(0, N_STEPS + 1, FRAME_STEPS))
        for frame, other in pairs:
            assert frame.step == other.step
            if frame.step <= cuts[0] + 200:
                atol = 0 if frame.step <= cuts[0] else 1.1e-5
                np.testing.assert_allclose(frame.positions_A, other.positions_A, rtol=0, atol=atol)
        tables = [read_table(place / "thermo.csv") for place in (folder, whole)]
        assert tables[0]["step"].tolist() == tables[1]["step"].tolist()
        before = tables[0]["step"] <= cuts[0]
        assert tables[0][before].equals(tables[1][before])


def test_killed_simulation_goes_on_to_the_same_end(at_once):
    """Killed by SIGKILL, as for want of memory: from its last regular checkpoint to the same run, to the last digit."""
    done, runs = compared(at_once, "killed")
    first, second = of_rule(done.jobs, "simulate")
    assert [(job["JobState"], asked(job)[1]) for job in (first, second)] == [
        ("FAILED", "1500M"),
        ("COMPLETED", "3000M"),
    ]
    for folder, whole, start, cuts in runs:
        assert DISTURBED_FROM <= start < N_STEPS and start % CHECKPOINT_STEPS == 0 and not cuts
        for name in PRODUCTS:
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), name


def test_rules_ask_for_their_gpu_by_gres_where_the_profile_says_so(at_once, cluster):
    """The resource `gpu=1` is --gpus=1, and `gres` is --gres, in each attempt."""
    for name, asks, not_asks in (("limit", "--gres=gpu:1", "--gpus"), ("killed", "--gpus=1", "--gres")):
        done, rule = at_once(name), "simulate"
        calls = submissions(cluster, done.folder, rule)
        assert len(calls) > 1 and all(asks in call and not_asks not in call for call in calls)
        for job in of_rule(done.jobs, rule):
            given = (job.get("TresPerJob"), job.get("TresPerNode"))
            assert given == ((None, "gres:gpu:1") if name == "limit" else ("gres:gpu:1", None))
            assert job["JOB_GRES"] == "gpu:1"
