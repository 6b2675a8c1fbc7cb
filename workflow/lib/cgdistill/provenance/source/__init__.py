"""Digest of the source of a job, by what can change values; `digest` is the way in."""
