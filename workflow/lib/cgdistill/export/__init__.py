"""Models as self-contained folders."""
