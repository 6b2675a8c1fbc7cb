"""The config, the table of students and sweeps: read, checked, cross-checked before any job starts."""
