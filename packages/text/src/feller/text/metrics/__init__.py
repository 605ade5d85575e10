"""Figures of text: likelihood, diversity, the frontier of divergences."""
