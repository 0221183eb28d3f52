"""Links emulated on this machine, a process each."""
