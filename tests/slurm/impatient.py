"""Snakemake that asks Slurm for its jobs every two seconds.

Its executor waits ten seconds longer each time that no job has ended, which is right for jobs of hours.
"""

import sys

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

if __name__ == "__main__":
    Executor.next_seconds_between_status_checks = property(lambda self: 2, lambda self, seconds: None)
    main(sys.argv[1:])
