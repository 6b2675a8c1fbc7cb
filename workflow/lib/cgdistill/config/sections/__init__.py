"""Sections of the config, one frozen dataclass each: the only place that a key is written."""
