"""Contract tests for what others may implement: a transport, a backbone, a data set."""
