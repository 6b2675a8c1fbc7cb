"""How a job runs: log, progress, locks, signals, devices, memory, atomic files. Nothing in here changes a value."""
