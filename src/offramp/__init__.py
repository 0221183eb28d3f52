"""Plan, train and run deep networks with early exits across a device, an edge and a cloud."""
