"""Values as plain data: frozen dataclasses to JSON and back, each tagged with its type.

`encode` writes `{"type": "condot", ...fields}`; `decode` reads it back and refuses an unknown type,
an unknown field and a value of the wrong type, so that a configuration that loads means what it
says.
"""

import difflib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

__all__ = ["ConfigError", "decode", "encode", "fits", "leaves", "tag_of", "tagged", "type_of"]

T = TypeVar("T")
_TYPES: dict[str, type] = {}
_TAGS: dict[type, str] = {}


class ConfigError(ValueError):
    """A configuration does not describe anything feller knows."""


def tagged(tag: str) -> Callable[[type[T]], type[T]]:
    """Give a dataclass the name by which configurations call it.

    Raises:
        ValueError: When another class has the tag.
    """

    def register(cls: type[T]) -> type[T]:
        known = _TYPES.get(tag, cls)
        if known.__qualname__ != cls.__qualname__:
            raise ValueError(f"the tag {tag!r} belongs to {known.__qualname__}")
        _TYPES[tag], _TAGS[cls] = cls, tag
        return cls

    return register


def tag_of(value: object) -> str:
    """Return the tag of a value's class."""
    try:
        return _TAGS[type(value)]
    except KeyError:
        raise ConfigError(f"{type(value).__qualname__} has no tag; add @tagged to it") from None


def type_of(tag: str) -> type | None:
    """Return the class that has this tag, if its module was imported.

    Example:
        >>> type_of("test/no such class") is None
        True
    """
    return _TYPES.get(tag)


def encode(value: Any) -> Any:
    """Turn a tagged dataclass, and all it holds, into what JSON can write.

    Example:
        >>> from feller.core.schedules import CondOT
        >>> encode(CondOT())
        {'type': 'condot'}
    """
    if is_dataclass(value) and not isinstance(value, type):
        body = {f.name: encode(getattr(value, f.name)) for f in fields(value) if f.init}
        return {"type": tag_of(value), **body}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"a configuration cannot hold a {type(value).__qualname__}")


def decode(data: Any, *, where: str = "config") -> Any:
    """Build the value that `encode` wrote; lists become tuples.

    Args:
        data: What JSON gave.
        where: How errors name the place, such as a file.

    Raises:
        ConfigError: On an unknown type or field, a missing field, or a value of the wrong type.
    """
    if isinstance(data, list):
        return tuple(decode(item, where=f"{where}[{i}]") for i, item in enumerate(data))
    if not isinstance(data, Mapping):
        return data
    if "type" not in data:
        return {key: decode(item, where=f"{where}.{key}") for key, item in data.items()}
    cls = _lookup(data["type"], where)
    known = {f.name for f in fields(cls) if f.init}
    for key in data.keys() - known - {"type"}:
        raise ConfigError(f"{where}: {data['type']} has no field {key!r}; it has {_some(known)}")
    body = {k: decode(v, where=f"{where}.{k}") for k, v in data.items() if k != "type"}
    hints = typing.get_type_hints(cls)
    for key, item in body.items():
        if not fits(item, hints[key]):
            raise ConfigError(f"{where}.{key}: {item!r} is not {_name(hints[key])}")
        body[key] = float(item) if hints[key] is float else item
    try:
        return cls(**body)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from None


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten an encoded configuration to dotted names, for comparing two of them."""
    if not isinstance(value, dict | list):
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= leaves(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _lookup(tag: Any, where: str) -> type:
    if isinstance(tag, str) and tag in _TYPES:
        return _TYPES[tag]
    near = difflib.get_close_matches(str(tag), _TYPES, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "import the module that defines it"
    raise ConfigError(f"{where}: unknown type {tag!r}; {hint}")


def fits(value: Any, hint: Any) -> bool:
    """Say whether a decoded value fits a field's annotation, as far as plain types go."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(fits(value, option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    origin = typing.get_origin(hint) or hint
    return isinstance(value, origin) if isinstance(origin, type) else True


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint)


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
