"""Design: what is given of a protein, what is asked for, and where the answers go."""
