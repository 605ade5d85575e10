"""Every importer of the installed domains has a name of its own."""

from feller.core.importing import Importer
from feller.core.importing.families import importers


def test_importers_have_names_of_their_own():
    found = importers()
    assert all(type(each) is Importer for each in found)
    assert len({each.name for each in found}) == len(found) > 0
