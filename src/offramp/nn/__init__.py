"""Training, profiling and export of multi-exit networks; the only package that imports torch."""
