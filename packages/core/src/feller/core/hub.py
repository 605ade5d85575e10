"""The Hugging Face Hub: folders of models from its repositories, and into them.

A repository is named `hf-hub:org/repo`, or `hf-hub:org/repo@revision` with a branch, a tag or a
commit. Downloads stay in the cache of `huggingface_hub`, which serves them offline or with
`HF_HUB_OFFLINE=1`. A push is one commit: the hub has either the whole new model or the previous
one.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from feller.core.config import fits
from feller.core.domains import RegistryError
from feller.core.files import digest, read_json

__all__ = ["PREFIX", "Repository", "download", "push", "repository"]

PREFIX = "hf-hub:"

OURS = ("config.json", "model.safetensors", "card.json", "README.md")
"""The files of a model folder."""

_THEIRS = ["*.json", "*.safetensors", "*.txt", "*.model", "README.md"]
_PICKLES = ["*.bin", "*.pt", "*.pth", "*.ckpt"]
# Parts of pipelines that are no network of ours, and weights in half precision beside others.
_LEFT = ["text_encoder*/*", "vae/*", "safety_checker/*", "onnx/*", "*.fp16.*", "*.non_ema.*"]


class Repository(NamedTuple):
    """A repository of the hub.

    Attributes:
        name: Such as `org/repo`.
        revision: A branch, a tag or a commit; None for the branch `main`.
    """

    name: str
    revision: str | None

    def __str__(self) -> str:
        """Return its address."""
        return f"{PREFIX}{self.name}" + (f"@{self.revision}" if self.revision else "")


def repository(address: str) -> Repository:
    """Read an address.

    Raises:
        RegistryError: When it names no revision after its `@`.

    Example:
        >>> repository("hf-hub:org/repo@v1")
        Repository(name='org/repo', revision='v1')
    """
    name, at, revision = address.removeprefix(PREFIX).partition("@")
    if at and not revision:
        raise RegistryError(f"{address} has no revision after @: a branch, a tag or a commit")
    return Repository(name, revision or None)


def download(address: str) -> Path:
    """Return the folder of a repository's files, fetched where the cache lacks them.

    The SHA-256 of a feller model is checked, and the model fetched once more if it differs. For
    models of other libraries, this downloads configurations, tokenizer and weights: safetensors, or
    pickles if there are no others.

    Args:
        address: `hf-hub:org/repo` or `hf-hub:org/repo@revision`.

    Raises:
        RegistryError: When it cannot be downloaded, with the reason in one line.
    """
    source = repository(address)
    folder = _fetched(source, ["config.json", "model_index.json"], " is not in the cache")
    # A branch may move between one request and the next.
    commit, half = folder.name, " is half in the cache"
    if _is_ours(folder):
        return _whole(source, _fetched(source, list(OURS), half, revision=commit))
    folder = _fetched(source, _THEIRS, half, revision=commit, ignore_patterns=_LEFT)
    if any(folder.rglob("*.safetensors")):
        return folder
    wanted = [*_THEIRS, *_PICKLES]
    return _fetched(source, wanted, half, revision=commit, ignore_patterns=_LEFT)


def push(
    folder: Path,
    name: str,
    *,
    revision: str | None = None,
    private: bool | None = None,
    token: str | None = None,
    message: str = "",
) -> Repository:
    """Commit the folder of a model to a repository, which is created if it does not exist.

    Args:
        folder: The folder, whose weights match the SHA-256 in its configuration.
        name: Such as `org/repo`.
        revision: A branch, created if it does not exist; `main` by default.
        private: Whether a new repository is private.
        token: A token with write access; by default that of `hf auth login` or `HF_TOKEN`.
        message: The commit message.

    Returns:
        The repository at the new commit.

    Raises:
        RegistryError: When the hub rejects it, with the reason in one line.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    files = [file for file in OURS if (folder / file).is_file()]
    target, api = Repository(name, revision), HfApi(token=token, library_name="feller")

    def commit() -> Any:
        api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        operations = [CommitOperationAdd(file, str(folder / file)) for file in files]
        return api.create_commit(
            name, operations, commit_message=message or f"Add {folder.name}", revision=revision
        )

    return Repository(name, _asked(target, commit, "pushed to").oid)


def _whole(source: Repository, folder: Path) -> Path:
    """Return the folder of a model of ours; what is damaged in the cache is fetched once more.

    Raises:
        RegistryError: When that cannot be, or what comes is damaged too.
    """
    if not _is_damaged(folder):
        return folder
    lacking = " is damaged in the cache"
    if _is_offline():  # where the client would say that nothing can be forced
        raise RegistryError(f"{source}{lacking}, and {_offline()}")
    _fetched(source, list(OURS), lacking, revision=folder.name, force_download=True)
    if not _is_damaged(folder):
        return folder
    raise RegistryError(
        f"{source} is damaged on the hub: the SHA-256 of its model.safetensors is not that in its "
        "config.json"
    )


def _fetched(source: Repository, wanted: list[str], lacking: str, **more: Any) -> Path:
    """Return the folder of a snapshot with the wanted files.

    Args:
        source: The repository.
        wanted: Patterns of files.
        lacking: What is wrong with the cache where the hub is not reached.
        more: For `snapshot_download`.
    """
    from huggingface_hub import snapshot_download

    options = {"revision": source.revision, "allow_patterns": wanted} | more
    return Path(
        _asked(source, lambda: snapshot_download(source.name, **options), "downloaded", lacking)
    )


def _asked(source: Repository, function: Callable[[], Any], done: str, lacking: str = "") -> Any:
    """Call a function that asks the hub; what it raises becomes one line."""
    from huggingface_hub import errors

    try:
        return function()
    except errors.GatedRepoError:
        reason = " is gated: ask for access on its page, then `hf auth login`"
    except errors.RevisionNotFoundError:
        reason = f": the repository has no branch, tag or commit {source.revision!r}"
    except errors.LocalEntryNotFoundError:
        reason = f"{lacking}, and {_offline()}"
    except errors.OfflineModeIsEnabled:
        reason = f" cannot be {done}: {_offline()}"
    except errors.HfHubHTTPError as error:
        reason = _answered(error, done)
    except Exception as error:  # what carries it and the disk have errors of many kinds
        reason = f" cannot be {done}: {_first(error)}"
    raise RegistryError(f"{source}{reason}") from None


def _answered(error: Any, done: str) -> str:
    """Return why the hub refuses; it says the same of a missing and of a private repository."""
    status, missing = error.response.status_code, error.__class__.__name__.startswith("Repository")
    if done == "downloaded":
        if missing or status == 401:
            return " does not exist, or is private and needs `hf auth login`"
    elif missing or status == 401:
        return " needs a token that may write: `hf auth login`, HF_TOKEN or --token"
    elif status == 403:
        return " cannot be pushed to: the token may not write there"
    return f" cannot be {done}: {_first(error)}"


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _is_offline() -> bool:
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def _offline() -> str:
    from huggingface_hub import constants

    if _is_offline():
        return "HF_HUB_OFFLINE says that there is no network"
    return f"{constants.ENDPOINT} is not reached"


def _is_ours(folder: Path) -> bool:
    try:
        return "format" in read_json(folder / "config.json")
    except (OSError, TypeError, ValueError):
        return False


def _is_damaged(folder: Path) -> bool:
    """Return whether weights are there and are not those that the configuration means."""
    weights = folder / "model.safetensors"
    config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    known = config.get("sha256") if fits(config, dict) else None
    return weights.is_file() and fits(known, str) and digest(weights) != known
