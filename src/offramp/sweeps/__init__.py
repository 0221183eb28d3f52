"""One profile planned on many topologies: which plan wins under which conditions."""
