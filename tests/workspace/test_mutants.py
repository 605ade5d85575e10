"""The mutants of tools/mutants.toml break lines that are there, and have tests to fail."""

import pytest

from mutants import Mutant, mutants

MUTANTS = mutants()


def test_there_are_thirty():
    assert len({(mutant.file, mutant.old) for mutant in MUTANTS}) >= 30


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.file)
def test_a_mutant_is_another_program_whose_tests_are_there(mutant):
    assert compile(mutant.broken(), mutant.file, "exec")
    assert mutant.new != mutant.old
    assert mutant.tests.is_file()


@pytest.mark.slow
@pytest.mark.parametrize("file", ["nn/ema.py", "paths/gaussian.py", "discrete/elbo.py"])
def test_what_is_not_broken_passes(file):
    assert not Mutant(file, "__all__ =", "__all__  =").is_caught()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.file)
def test_a_mutant_is_caught(mutant):
    assert mutant.is_caught()
