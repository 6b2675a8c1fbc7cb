"""cgdistill: coarse-grained neural-network force fields by knowledge distillation.

The library knows nothing of Snakemake. Units inside are those of LAMMPS ``units real``:
Angstrom, kcal/mol, femtosecond, g/mol, Kelvin.
"""

__version__ = "0.1.0"
