"""Texts into files: plain text, a JSON object a line, or a picture, by the suffix."""

import json
from collections.abc import Sequence
from pathlib import Path

__all__ = ["check_target", "write_texts"]

SUFFIXES = (".txt", ".jsonl", ".png")
RULE = "\n" + "-" * 16 + "\n"


def check_target(out: Path) -> None:
    """Refuse a target that cannot be written, before anything is computed.

    Raises:
        ValueError: When the suffix is unknown, or a folder is there.
    """
    if out.suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise ValueError(f"--out ends in one of {known} (a picture of the first), not {out.name}")
    if out.is_dir():
        raise ValueError(f"{out} is a folder: choose another --out")


def write_texts(texts: Sequence[str], out: Path, facts: Sequence[dict[str, object]] = ()) -> None:
    r"""Write texts.

    Args:
        texts: The texts.
        out: `.txt`, with a rule between texts, or `.jsonl`, with an object `{"text": ...}` each.
        facts: What else an object says, for each text.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> write_texts(["To be"], out)
        >>> out.read_text()
        '{"text": "To be"}\n'
    """
    check_target(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".txt":
        out.write_text(RULE.join(texts) + "\n", encoding="utf-8")
        return
    more = facts or [{}] * len(texts)
    lines = [
        json.dumps({"text": text} | fact, ensure_ascii=False)
        for text, fact in zip(texts, more, strict=True)
    ]
    out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
