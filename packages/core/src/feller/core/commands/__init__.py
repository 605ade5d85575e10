"""The commands of `feller`, a module each with a function `run`."""
