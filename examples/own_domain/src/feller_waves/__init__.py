"""Waves: a domain of feller's outside its repository. Nothing here imports torch."""

from feller.core.domains import Domain

DOMAIN = Domain(
    name="waves",
    package="feller_waves",  # its module `models` registers the types of its models
    recipes={"sine": "feller_waves.recipes:sine"},
    commands={"sample": "feller_waves.commands:sample"},
)
