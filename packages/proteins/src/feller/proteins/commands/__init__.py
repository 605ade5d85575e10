"""What the `feller` commands do for proteins."""
