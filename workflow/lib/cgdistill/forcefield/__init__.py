"""Model architectures of the coarse-grained force field."""
