"""Token chains: one token on the mixture path, exact draws, ELBOs, losses and solvers."""
