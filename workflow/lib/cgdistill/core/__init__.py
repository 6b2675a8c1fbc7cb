"""Constants, units, seeds, errors and the vocabulary of the files: imported everywhere, imports nothing."""
