"""Potentials of beads: prior terms, architectures, and what the engines see of them."""
