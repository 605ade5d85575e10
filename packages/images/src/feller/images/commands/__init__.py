"""What the `feller` commands do for images."""
