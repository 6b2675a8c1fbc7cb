"""Benchmarks of the project: `make bench`. Not part of the library; what the numbers mean: docs/speed.md.

Folders in here other than ``results`` are Snakemake's: the time and memory of every job of a run.
"""
