"""Figures of images: accuracy and class shares, kernel distances, memorisation."""
