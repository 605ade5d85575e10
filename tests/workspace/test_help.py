"""What `--help` says: every flag of every command says what it does, and its default."""

import re

import pytest
from terminal import feller

from feller.core.domains import domains

MODELS = ["images/fashion-flow", "proteins/short-codesign", "text/shakespeare-mask"]
RECIPES = sorted(f"{home}/{name}" for home, domain in domains().items() for name in domain.recipes)
FLAG = re.compile(r"^  (-{1,2}[a-z].*)")


def flags(*argv):
    """Flag -> its help, from the help of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")  # the longest flags fill a line of 80
        code, out, err = feller(*argv, "--help")
    assert (code, err) == (0, "")
    found, name = {}, None
    for line in re.sub(r"[│╭╮╰╯─]", "", out).splitlines():
        if match := FLAG.match(line if line.startswith("  ") else f" {line}"):
            name, _, text = re.sub(r"\s{2,}", "\0", match[1].strip()).partition("\0")
            found[name] = text
        elif name and line.startswith("      "):
            found[name] += f" {line.strip()}"
        else:
            name = None
    assert found
    return found


def undescribed(found):
    """The flags without a word of what they do, or without a default."""
    return [
        name
        for name, text in found.items()
        if not re.search(r"\w", text.split("(default")[0])
        or ("(default" not in text and not name.startswith("-h"))
    ]


@pytest.mark.parametrize(
    "command", ["list", "show", "import", "export", "push", "verify", "demo", "app", "plan", "runs"]
)
def test_flags_of_the_core_say_what_they_do(command):
    assert not undescribed(flags(command))


@pytest.mark.parametrize("command", ["sample", "evaluate", "verify"])
@pytest.mark.parametrize("model", MODELS)
def test_flags_of_a_model_say_what_they_do(command, model):
    assert not undescribed(flags(command, model))


@pytest.mark.parametrize("recipe", RECIPES)
def test_flags_of_a_recipe_say_what_they_do(recipe):
    assert not undescribed(flags("train", recipe))
