"""Models of ours as those of other libraries."""
