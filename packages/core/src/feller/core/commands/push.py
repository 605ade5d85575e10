"""`feller push NAME org/repo`: a model folder on the Hugging Face Hub."""

import argparse
import sys
from collections.abc import Sequence

__all__ = ["run"]


def run(argv: Sequence[str]) -> None:
    """Commit a model folder to a repository."""
    parser = argparse.ArgumentParser(
        "feller push",
        description="Push a model to the Hugging Face Hub, as one commit: its configuration, its "
        "weights, its card, and a page with its figures.",
    )
    parser.add_argument("model", help="a model such as images/fashion-flow, a folder or a run")
    parser.add_argument("repository", help="such as org/repo; created if it does not exist")
    parser.add_argument(
        "--revision", help="branch, created if it does not exist (default: main)", metavar="BRANCH"
    )
    parser.add_argument(
        "--private",
        action="store_true",
        help="make a new repository private (default: as the owner's settings say)",
    )
    parser.add_argument(
        "--token", help="a token with write access (default: HF_TOKEN, or that of `hf auth login`)"
    )
    parser.add_argument(
        "--message", default="", help="the commit message (default: Add and the name)"
    )
    options = parser.parse_args(argv)
    from feller.core.checkpoint import checked_weights
    from feller.core.hub import push
    from feller.core.registry import model_folder

    folder = model_folder(options.model)
    checked_weights(folder)
    found = push(
        folder,
        options.repository.removeprefix("hf-hub:"),
        revision=options.revision,
        private=options.private or None,
        token=options.token,
        message=options.message,
    )
    print(f"{found} is ready: feller.core.load({str(found)!r})", file=sys.stderr)
    print(found)
