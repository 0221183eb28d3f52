"""One tier at work: tasks validated, scheduled, run, and handed on."""
