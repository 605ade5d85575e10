"""Flags that are wrong are refused in one line that says what would be right."""

from dataclasses import dataclass, field

import pytest

from feller.core.flags import parse_flags


@dataclass(frozen=True)
class Inner:
    steps: int = 3
    """Steps to take, a number described at some length, so that its help fills lines."""


@dataclass(frozen=True)
class Flags:
    """Count."""

    name: str = "a"
    inner: Inner = field(default_factory=Inner)


def parsed(*argv, **settings):
    return parse_flags(Flags, argv, prog="feller count", **settings)


def test_flags_are_laid_over_the_default():
    default = Flags(name="b")
    assert parsed("--inner.steps", "5", default=default) == Flags("b", Inner(5))


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--inner.steps", "two"], ["--inner.steps", "'two'"]),
        (["--inner.step", "2"], ["--inner.step, 2", "did you mean --inner.steps INT"]),
        (["--inner.steps"], ["--inner.steps"]),
        (["else"], ["else"]),
        (["--inner.steps", "x" * 150], ["x" * 150]),
    ],
)
def test_what_is_wrong_is_one_line(argv, parts):
    with pytest.raises(ValueError, match=r"see feller count --help$") as error:
        parsed(*argv)
    said = str(error.value)
    assert "\n" not in said
    assert not set(said) & set("│╭╮╰╯─")
    for part in parts:
        assert part in said


def test_help_is_no_error(capsys):
    with pytest.raises(SystemExit) as end:
        parsed("--help")
    assert not end.value.code
    assert "--inner.steps INT" in capsys.readouterr().out
