"""The profile on a real Slurm of one node: what jobs ask for, failures, time limits, interruption.

Slurm's own records are compared with the rules. There is no GPU (its device file is /dev/null), no second node, no
shared file system and no database of accounts, so none of these can fail here.
"""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml

#: What Slurm writes where there is nothing.
NONE = "(null)"

RULES = """
rule all:
    input:
        "plain.txt", "gpu.txt", "gres.txt", "prior.txt", "slow.txt",

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

# Names that the profile puts into one group.
rule split_frames:
    output: "split.txt"
    resources: mem_mb=300, runtime=2
    shell: "echo $SLURM_JOB_ID > {output}"

rule fit_prior:
    input: "split.txt"
    output: "prior.txt"
    resources: mem_mb=400, runtime=3
    shell: "echo $SLURM_JOB_ID > {output}"

# The first attempt outlives its minute; the second finds what the first has left.
rule slow:
    output: "slow.txt"
    resources: mem_mb=200, runtime=lambda wildcards, attempt: 1 if attempt == 1 else 4
    shell: "if [ -e kept ]; then mv kept {output}; else touch kept; sleep 600; fi"
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
    resources: mem_mb=100, runtime=10
    shell: "sleep 600"
"""


def snakemake(root, folder, *arguments):
    """Snakemake's command with the profile; what is added suits a cluster without accounts that is asked at once."""
    command = [sys.executable, "-m", "snakemake", "--directory", folder, "--profile", root / "slurm"]
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"]
    return list(map(str, [*command, *arguments]))


def run(root, cluster, folder, text, *arguments):
    """Exit status and output of a Snakefile's run on the cluster, and Slurm's records of its jobs."""
    folder.mkdir(exist_ok=True)
    (folder / "Snakefile").write_text(text, encoding="utf-8")
    known = {job["JobId"] for job in cluster.jobs()}
    command = snakemake(root, folder, "-s", folder / "Snakefile", *arguments)
    done = subprocess.run(
        command, env=cluster.environment, cwd=folder, capture_output=True, text=True, check=False, timeout=400
    )
    jobs = [job for job in cluster.jobs() if job["JobId"] not in known]
    return done.returncode, done.stdout + done.stderr, jobs


def of_rule(jobs, rule):
    """Records of the jobs of a rule; the executor puts its name into the comment."""
    return [job for job in jobs if re.match(rf"(rule|group)_{rule}(_|$)", job["Comment"])]


def asked(job):
    """CPUs, memory / MB, time limit and partition of a job, as Slurm granted them."""
    tres = dict(word.split("=", 1) for word in job["TRES"].split(","))
    return int(tres["cpu"]), tres["mem"], job["TimeLimit"], job["Partition"]


@pytest.fixture(scope="module")
def finished(root, cluster, tmp_path_factory):
    """A run of RULES: folder, output, records."""
    folder = tmp_path_factory.mktemp("finished")
    status, text, jobs = run(root, cluster, folder, RULES)
    assert status == 0, text[-6000:]
    return folder, text, jobs


def test_jobs_get_what_rules_ask_for(finished):
    _, _, jobs = finished
    (plain,), (gpu,), (gres,) = (of_rule(jobs, name) for name in ("plain", "on_gpu", "on_gres"))
    assert asked(plain) == (3, "700M", "00:05:00", "cpu")
    assert asked(gpu) == (2, "600M", "00:06:00", "gpu")
    assert asked(gres) == (1, "500M", "00:07:00", "cpu")
    assert {job["JobState"] for job in (plain, gpu, gres)} == {"COMPLETED"}


def test_gpu_is_asked_for_in_either_way(finished, cluster):
    """By --gpus where the rule says gpu, by --gres where it says gres, never by both; the job sees the device."""
    folder, _, jobs = finished
    (plain,), (gpu,), (gres,) = (of_rule(jobs, name) for name in ("plain", "on_gpu", "on_gres"))
    assert (gpu.get("TresPerJob"), gpu.get("TresPerNode")) == ("gres:gpu:1", None)
    assert (gres.get("TresPerJob"), gres.get("TresPerNode")) == (None, "gres:gpu:1")
    assert {"TresPerJob", "TresPerNode"}.isdisjoint(plain) and plain["JOB_GRES"] == NONE
    assert gpu["JOB_GRES"] == gres["JOB_GRES"] == "gpu:1"
    assert (folder / "gpu.txt").read_text() == (folder / "gres.txt").read_text() == "0\n"
    calls = {rule: [call for call in cluster.submissions() if f"rule_{rule}" in call] for rule in ("on_gpu", "on_gres")}
    assert all("--gpus=1" in call and "--gres" not in call for call in calls["on_gpu"]) and calls["on_gpu"]
    assert all("--gres=gpu:1" in call and "--gpus" not in call for call in calls["on_gres"]) and calls["on_gres"]


def test_short_jobs_share_a_job(finished):
    """The group has the larger memory and the sum of the times, since its rules follow each other."""
    folder, _, jobs = finished
    (group,) = of_rule(jobs, "preparation")
    assert asked(group) == (1, "400M", "00:05:00", "cpu")
    assert (folder / "split.txt").read_text() == (folder / "prior.txt").read_text() == group["JobId"] + "\n"


def test_job_over_its_limit_is_submitted_again_with_a_longer_one(finished, cluster):
    folder, text, jobs = finished
    first, second = of_rule(jobs, "slow")
    assert [(job["JobState"], job["TimeLimit"]) for job in (first, second)] == [
        ("TIMEOUT", "00:01:00"),
        ("COMPLETED", "00:04:00"),
    ]
    assert cluster.completed()[first["JobId"]]["JobState"] == "TIMEOUT"
    assert "TIMEOUT" in text and first["JobId"] in text
    assert (folder / "slow.txt").exists()


def test_failing_job_is_reported_with_its_log(root, cluster, tmp_path):
    """After its retries, each with the memory of its attempt; what does not need it is made all the same."""
    status, text, jobs = run(root, cluster, tmp_path / "broken", BROKEN, "--retries", "1")
    assert status == 1
    assert "the reason why" in text and "FAILED" in text
    broken = of_rule(jobs, "broken")
    assert [(job["JobState"], asked(job)[1]) for job in broken] == [("FAILED", "100M"), ("FAILED", "200M")]
    assert all(cluster.completed()[job["JobId"]]["JobState"] == "FAILED" for job in broken)
    assert (tmp_path / "broken" / "whole.txt").exists()
    (whole,) = of_rule(jobs, "whole")
    profile = yaml.safe_load((root / "workflow/profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    assert profile["default-resources"] == {"mem_mb": 2000, "runtime": 30}
    assert asked(whole) == (1, "2000M", "00:30:00", "cpu")


def test_no_job_asks_for_more_than_the_site_has(root, cluster, tmp_path):
    """The limits that docs/clusters.md names: each job is cut to them, and they do not add up over jobs."""
    rules = RULES.replace('"gpu.txt", "gres.txt", "prior.txt", "slow.txt",', '"gres.txt",')
    rules = rules.replace('"echo ', '"sleep 5; echo ')
    limits = ["--resources", "mem_mb=650", "runtime=6"]
    status, text, jobs = run(root, cluster, tmp_path / "limits", rules, *limits)
    assert status == 0, text[-6000:]
    (plain,), (gres,) = (of_rule(jobs, name) for name in ("plain", "on_gres"))
    assert asked(plain) == (3, "650M", "00:05:00", "cpu")
    assert asked(gres) == (1, "500M", "00:06:00", "cpu")
    first, second = (cluster.completed()[job["JobId"]] for job in (plain, gres))
    assert max(first["StartTime"], second["StartTime"]) < min(first["EndTime"], second["EndTime"])


def test_interrupting_cancels_what_runs_and_what_waits(root, cluster, tmp_path):
    """Two jobs fill the node, four wait; after SIGINT (Ctrl-C) none is left."""
    (tmp_path / "Snakefile").write_text(MANY, encoding="utf-8")
    known = {job["JobId"] for job in cluster.jobs()}
    with open(tmp_path / "out.txt", "w") as out:
        process = subprocess.Popen(
            snakemake(root, tmp_path, "-s", tmp_path / "Snakefile"),
            env=cluster.environment,
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A process of a shell's background ignores SIGINT, and hands that down.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

        def states():
            return sorted(job["JobState"] for job in cluster.jobs() if job["JobId"] not in known)

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
                cluster.cancel()
    for _ in range(100):
        if states() == ["CANCELLED"] * 6:
            return
        time.sleep(0.2)
    left = states()
    cluster.cancel()
    assert left == ["CANCELLED"] * 6


def test_rules_of_the_workflow(root, cluster, tmp_path):
    """The workflow's own rules up to the prior: one job for the mapping, one for the group, as the config says."""
    for name in ("config", "resources", "tests"):
        (tmp_path / name).symlink_to(root / name)
    known = {job["JobId"] for job in cluster.jobs()}
    config = root / "tests/configs/end-to-end.yaml"
    command = snakemake(root, tmp_path, "-s", root / "Snakefile", "--configfile", config, "--until", "fit_prior")
    done = subprocess.run(command, env=cluster.environment, cwd=root, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-6000:]
    jobs = [job for job in cluster.jobs() if job["JobId"] not in known]
    light = yaml.safe_load(config.read_text(encoding="utf-8"))["resources"]["light"]
    (mapping,), (group,) = (of_rule(jobs, name) for name in ("map_trajectory", "preparation"))
    assert len(jobs) == 2
    assert asked(mapping)[:2] == asked(group)[:2] == (light["threads"], f"{light['mem_mb']}M")
    assert mapping["TimeLimit"] == f"00:{light['runtime_min']:02}:00"
    assert group["TimeLimit"] == f"00:{2 * light['runtime_min']:02}:00"
    assert list((tmp_path / "results/end-to-end").rglob("*prior*"))


@pytest.mark.parametrize("option", ["--profile", "--workflow-profile"])
def test_profile_has_its_name_in_the_root(root, executor, option):
    """`snakemake --profile slurm` and `--workflow-profile slurm` find it and plan the workflow."""
    command = [sys.executable, "-m", "snakemake", option, "slurm", "--dry-run", "--configfile", "config/paper.yaml"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-3000:]
    assert re.search(r"Using .*profile.* slurm ", text), text[:500]
    assert "simulate_T8_1" in text
