"""Simulations with LAMMPS: protocol, engine, runs in lockstep, checkpoints."""
