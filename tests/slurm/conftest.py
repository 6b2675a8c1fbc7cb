"""A Slurm of one node for the tests of this folder; they skip themselves where it cannot be."""

import importlib.util
import shutil
import tempfile
from pathlib import Path

import cluster as cluster_module
import pytest

PLUGIN = "snakemake_executor_plugin_slurm"


@pytest.fixture(scope="session")
def executor():
    """Nothing, where Snakemake's executor for Slurm is installed."""
    if importlib.util.find_spec(PLUGIN) is None:
        pytest.skip(f"{PLUGIN.replace('_', '-')} is missing (make env)")


@pytest.fixture(scope="session")
def cluster(executor):
    """A running cluster; its folder has a short path, since that of a socket is at most 107 characters."""
    packages = cluster_module.missing()
    if packages:
        pytest.skip(f"Slurm is missing (Debian: apt-get install {' '.join(packages)})")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    try:
        made = cluster_module.Cluster(folder)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
