"""Training data: structures read, filtered, cached and split."""
