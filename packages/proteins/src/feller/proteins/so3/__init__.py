"""Rotations: their space, isotropic paths on it, and the flows, diffusions and jumps of these."""
