"""Constants, units, seeds, errors and the vocabulary of the files; imports no other package."""
