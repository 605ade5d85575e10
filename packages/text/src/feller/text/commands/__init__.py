"""What the `feller` commands do for text."""
