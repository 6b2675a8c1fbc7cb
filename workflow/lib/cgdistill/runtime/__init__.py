"""Running a job: log, progress, locks, signals, devices, memory, atomic files; no module here affects results."""
