"""Files of JSON as fields of recipes."""

from dataclasses import dataclass

import pytest
import tyro

from feller.text.definitions import Definition


@pytest.mark.parametrize(
    ("text", "shown"), [('{"a": 1}', "1}"), ('{"a": "' + 99 * "b" + '"}', "that of the recipe")]
)
def test_help_shows_a_short_default_and_names_a_long_one(text, shown, capsys):
    @dataclass
    class Part:
        """A part.

        Attributes:
            definition: What its file holds.
        """

        definition: Definition = text

    with pytest.raises(SystemExit):
        tyro.cli(Part, args=["--help"])
    out = capsys.readouterr().out
    assert "--definition FILE" in out
    assert shown in out
    assert "bbb" not in out
