"""From atoms to beads: reading, mapping, checks of the forces, bead files, split, pairs of frames."""
