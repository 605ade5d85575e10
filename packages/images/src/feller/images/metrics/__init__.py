"""Metrics of images: accuracy, class fractions, kernel distance (KID), memorisation."""
