"""A trained network and the machine at hand, measured."""
