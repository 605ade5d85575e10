"""One file a package: its samplers, given the exact posterior in the package's own conventions."""
