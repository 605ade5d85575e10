"""One DataError, which whoever reads data of any domain catches; messages of one line."""

import pickle
from importlib import import_module

import pytest

from feller.core.checkpoint import CheckpointError
from feller.core.config import ConfigError
from feller.core.domains import RegistryError
from feller.core.errors import DataError


@pytest.mark.parametrize(
    "module",
    ["text.packed", "text.corpora", "images.pixels", "images.data", "proteins.data.mapped"],
)
def test_every_domain_raises_the_one_of_the_core(module):
    assert import_module(f"feller.{module}").DataError is DataError
    assert issubclass(DataError, ValueError)


@pytest.mark.parametrize("kind", [CheckpointError, ConfigError, DataError, RegistryError])
def test_what_is_quoted_breaks_no_line(kind):
    error = kind("no\nsuch\u2028name", 3)
    assert error.args == (r"no\nsuch\u2028name", 3)
    assert len(str(kind("a\r\nb")).splitlines()) == 1
    assert pickle.loads(pickle.dumps(error)).args == error.args
