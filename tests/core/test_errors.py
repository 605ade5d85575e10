"""One DataError: whoever reads data of any domain catches it."""

from importlib import import_module

import pytest

from feller.core.errors import DataError


@pytest.mark.parametrize(
    "module",
    ["text.packed", "text.corpora", "images.pixels", "images.data", "proteins.data.mapped"],
)
def test_every_domain_raises_the_one_of_the_core(module):
    assert import_module(f"feller.{module}").DataError is DataError
    assert issubclass(DataError, ValueError)
