"""Protein models of other libraries: the families that `feller import` reads."""
