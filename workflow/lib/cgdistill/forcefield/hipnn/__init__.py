"""HIP-NN-TS: everything that knows this architecture."""
