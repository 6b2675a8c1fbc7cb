"""Pairwise splines: force matching by linear least squares, the MS-CG method.

The force between two beads depends on their distance and types alone. It is a B-spline per pair of types, whose
coefficients minimise the error of the forces on the beads (Izvekov and Voth, J. Phys. Chem. B 109, 2469, 2005; Noid et
al., J. Chem. Phys. 128, 244114, 2008).
"""
