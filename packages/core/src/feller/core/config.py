"""Values as plain data: frozen dataclasses to JSON and back, each tagged with its type.

`encode` writes `{"type": "condot", ...fields}`; `decode` reads it back and refuses an unknown type,
an unknown field and a value of the wrong type, so that a configuration that loads means what it
says.
"""

import difflib
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import singledispatch
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, overload

from feller.core.errors import OneLineError

__all__ = [
    "ConfigError", "decode", "encode", "fits", "foreign_homes", "home_of", "leaves", "tag_of",
    "tagged", "type_of",
]  # fmt: skip

T = TypeVar("T")
_TYPES: dict[str, type] = {}
_TAGS: dict[type, str] = {}
_RENAMED: dict[type, Mapping[str, str]] = {}


class ConfigError(OneLineError, ValueError):
    """A configuration does not describe anything feller knows."""


def tagged(tag: str, *, renamed: Mapping[str, str] | None = None) -> Callable[[type[T]], type[T]]:
    """Give a dataclass the name by which configurations call it.

    Args:
        tag: The name.
        renamed: Former names of fields, which saved configurations still have, to those of today.

    Raises:
        ValueError: When another class has the tag. The same file or notebook may define a class
            again.
    """

    def register(cls: type[T]) -> type[T]:
        known = _TYPES.get(tag, cls)
        if _origin(known) != _origin(cls):
            owner = f"{known.__module__}.{known.__qualname__}"
            raise ValueError(f"the tag {tag!r} belongs to {owner}: give {cls.__qualname__} another")
        _TYPES[tag], _TAGS[cls], _RENAMED[cls] = cls, tag, renamed or {}
        return cls

    return register


def _origin(cls: type) -> tuple[str, str]:
    """Return the file (or the module, if it has none) that defines a class, and its name."""
    module = cls.__module__  # a file that is both run with -m and imported is two modules
    return getattr(sys.modules.get(module), "__file__", None) or module, cls.__qualname__


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


def home_of(kind: Any) -> str:
    """Return the module of a class or a function; of a script, the name of its file.

    Example:
        >>> home_of(ConfigError)
        'feller.core.config'
    """
    module: str = kind.__module__
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(file).stem if module == "__main__" and file else module


def foreign_homes(data: Any) -> dict[str, str]:
    """Return the module of each type in an encoded configuration that is not of feller's own."""
    tags = {str(tag) for key, tag in leaves(data).items() if key.rpartition(".")[2] == "type"}
    homes = {tag: home_of(_TYPES[tag]) for tag in sorted(tags & _TYPES.keys())}
    return {tag: home for tag, home in homes.items() if not home.startswith("feller.")}


@singledispatch
def encode(value: Any) -> Any:
    """Turn a tagged dataclass, and all it holds, into what JSON can write.

    Example:
        >>> from feller.core.schedules import CondOT
        >>> encode(CondOT())
        {'type': 'condot'}
    """
    try:
        known = [field.name for field in fields(value) if field.init]
    except TypeError:
        name = type(value).__qualname__
        hint = "make its class a dataclass, marked with feller.core.tagged"
        raise ConfigError(f"a configuration cannot hold a {name}: {hint}") from None
    body = {name: encode(getattr(value, name)) for name in known}
    return {"type": tag_of(value), **body}


@encode.register(Mapping)
def _(value: Mapping[Any, Any]) -> Any:
    if odd := [key for key in value if not isinstance(key, str)]:
        raise ConfigError(f"a configuration cannot hold the key {odd[0]!r}: JSON keys are strings")
    return {key: encode(item) for key, item in value.items()}


@encode.register(list)
@encode.register(tuple)
def _(value: Any) -> Any:
    return [encode(item) for item in value]


@encode.register(types.NoneType)
@encode.register(int)
@encode.register(float)
@encode.register(str)
def _(value: Any) -> Any:
    return value


def decode(data: Any, *, where: str = "config") -> Any:
    """Build the value that `encode` wrote; lists become tuples.

    Args:
        data: What JSON gave.
        where: How errors name its position, such as a file.

    Raises:
        ConfigError: On an unknown type or field, a missing field, or a value of the wrong type.
    """
    return _decoded(data, where)


@singledispatch
def _decoded(data: Any, where: str) -> Any:
    return data


@_decoded.register(list)
def _(data: list[Any], where: str) -> Any:
    return tuple(_decoded(item, f"{where}[{i}]") for i, item in enumerate(data))


@_decoded.register(Mapping)
def _(data: Mapping[str, Any], where: str) -> Any:
    if "type" not in data:
        return {key: _decoded(item, f"{where}.{key}") for key, item in data.items()}
    cls = _lookup(data["type"], where)
    known = {f.name for f in fields(cls) if f.init}
    today = _RENAMED[cls]
    for old in data.keys() & today.keys():
        if today[old] in data:
            raise ConfigError(f"{where}: {old!r} is the former name of {today[old]!r}; give one")
    data = {today.get(key, key): item for key, item in data.items()}
    for key in data.keys() - known - {"type"}:
        raise ConfigError(f"{where}: {data['type']} has no field {key!r}; it has {_some(known)}")
    body = {k: _decoded(v, f"{where}.{k}") for k, v in data.items() if k != "type"}
    hints = typing.get_type_hints(cls)
    for key, item in body.items():
        if not fits(item, hints[key]):
            raise ConfigError(f"{where}.{key}: {item!r} is not {_name(hints[key])}")
        body[key] = float(item) if hints[key] is float else item
    try:
        return cls(**body)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())}") from None


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten an encoded configuration to dotted names, for comparing two of them."""
    items = _items(value)
    if items is None:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= leaves(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


@singledispatch
def _items(value: Any) -> Iterable[Any] | None:
    return None


@_items.register(dict)
def _(value: dict[str, Any]) -> Iterable[Any] | None:
    return value.items()


@_items.register(list)
def _(value: list[Any]) -> Iterable[Any] | None:
    return enumerate(value)


def _lookup(tag: Any, where: str) -> type:
    if found := _TYPES.get(str(tag)):
        return found
    near = difflib.get_close_matches(str(tag), _TYPES, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "import the module that defines it"
    raise ConfigError(f"{where}: unknown type {tag!r}; {hint}")


@overload
def fits(value: Any, hint: type[T]) -> TypeGuard[T]: ...
@overload
def fits(value: Any, hint: Any) -> bool: ...
def fits(value: Any, hint: Any) -> bool:
    """Return whether a decoded value fits an annotation, as far as plain types go.

    Example:
        >>> fits(1, float), fits(True, int), fits("a", int | None)
        (True, False, False)
    """
    origin = typing.get_origin(hint) or hint
    options = typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, option) for option in options)
    if origin is typing.Literal:
        return value in options
    if origin in (int, float):  # of which Python counts True and False
        whole = _is_a(value, int) and value is not True and value is not False
        return whole or (origin is float and _is_a(value, float))
    return _is_a(value, origin)


def _is_a(value: Any, kind: Any) -> bool:
    """Return whether a value is of a type; of what is not a type, such as Any, everything is."""
    return isinstance(value, kind) if isinstance(kind, type) and kind is not Any else True


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint)


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
