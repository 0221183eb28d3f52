"""Networks with branches trained as jobs, kept epoch by epoch in the folder of a run."""
