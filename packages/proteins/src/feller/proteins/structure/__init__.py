"""Structures: chains of residues, their frames, and the files they are read from and written to."""
