"""A domain of two bundled models, in place of those that are installed."""

import sys
from contextlib import contextmanager

import pytest

from feller.core import domains as domains_module
from feller.core.cards import ModelCard
from feller.core.commands import dispatch
from feller.core.domains import Domain, RegistryError


@contextmanager
def installed(tmp_path, monkeypatch):
    """Install the domain, and it alone."""
    package = tmp_path / "feller_test_toys"
    for name in ("cat-flow", "dog-jump"):
        folder = package / "weights" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        ModelCard(name=f"toys/{name}", task="toys").write(folder)
    (package / "weights" / "no-model").mkdir()
    (package / "__init__.py").write_text("calls = []\ndef note(*given): calls.append(given)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    domain = Domain(
        name="toys",
        package=package.name,
        recipes={"cat-flow": "builtins:dict", "bird-flow": "builtins:list"},
        commands={"sample": f"{package.name}:note"},
    )
    only(monkeypatch, {"toys": domain})
    yield domain
    sys.modules.pop(package.name, None)


def only(monkeypatch, domains):
    """Let these be the installed domains."""
    for module in (domains_module, dispatch):
        monkeypatch.setattr(module, "domains", lambda: domains)
    monkeypatch.setattr(domains_module, "zoos", dict)


def refusal(function, *given):
    """Return the one line by which a call is refused."""
    with pytest.raises(RegistryError) as caught:
        function(*given)
    message = str(caught.value)
    assert "\n" not in message
    return message
