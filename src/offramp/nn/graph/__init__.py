"""Any network as a line of blocks: traced, split where one tensor passes, its operations understood."""
