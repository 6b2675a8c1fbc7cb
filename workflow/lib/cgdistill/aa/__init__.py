"""All-atom data: system, engines (GROMACS, OpenMM) and the stages of a simulation."""
