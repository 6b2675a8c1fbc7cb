"""Where products come from: stamps, manifest, verification, digest of the source. Nothing in here changes a value."""
