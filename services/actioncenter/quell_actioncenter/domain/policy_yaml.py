"""A policy document as YAML: read whole or not at all, with every mistake named by line and key."""

import json
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import islice

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from quell_actioncenter.domain.errors import PolicyInvalidError
from quell_actioncenter.domain.policy_document import Policy

_PLAIN = frozenset(f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null"))
_DEPTH = 20
_PARTS = 20_000
"""Keys, values and lists of one document: it is read in one go, in which nobody else is served."""
_TOLD = 100
"""Mistakes that are told of one document; a person begins with the first."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MESSAGES = {"unexpected_keyword_argument": "there is no such key", "missing": "it is missing"}
_POLICY = TypeAdapter(Policy)


def default_document() -> str:
    """Return the policy document that is in force where no other was given."""
    return (files(__package__) / "default_policy.yaml").read_text(encoding="utf-8")


def read_policy(document: str) -> Policy:
    """Read a policy document.

    Raises:
        PolicyInvalidError: It has mistakes; all are named, each with line and key.

    """
    root = _compose(document)
    mistakes = [f"line {line}: {what}" for line, what in sorted(islice(_malformed(root), _TOLD))]
    if mistakes:
        raise PolicyInvalidError(mistakes)
    data = yaml.SafeLoader("").construct_document(root)
    try:
        # In JSON lists are tuples and names are enum values, while strictness keeps "1" from being a number.
        return _POLICY.validate_json(json.dumps(data), strict=True)
    except ValidationError as refusal:
        errors = refusal.errors(include_url=False, include_context=False, include_input=False)[:_TOLD]
        found = sorted((_line(root, error["loc"]), _sentence(error)) for error in errors)
        raise PolicyInvalidError([f"line {line}: {sentence}" for line, sentence in found]) from None


def _compose(document: str) -> yaml.MappingNode:
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(document, Loader=_LOADER)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            # Aliases and depth let a short document cost much, and nothing here needs them.
            if isinstance(event, yaml.AliasEvent) or depth > _DEPTH or count > _PARTS:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise PolicyInvalidError([f"line {line}: aliases, such depth and such length are not read"])
        root = yaml.compose(document, Loader=_LOADER)
    except yaml.MarkedYAMLError as trouble:
        line = trouble.problem_mark.line + 1 if trouble.problem_mark else 1
        raise PolicyInvalidError([f"line {line}: {trouble.problem}"]) from None
    except yaml.YAMLError:
        raise PolicyInvalidError(["line 1: it is no YAML"]) from None
    if not isinstance(root, yaml.MappingNode):
        raise PolicyInvalidError(["line 1: it must be a mapping of keys to values"])
    return root


def _malformed(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """Yield keys that stand twice, which YAML readers drop silently, and what is no plain data."""
    line = node.start_mark.line + 1
    if node.tag not in _PLAIN or (isinstance(node, yaml.ScalarNode) and not _readable(node)):
        shown = node.value if isinstance(node, yaml.ScalarNode) else node.tag
        yield line, f"{shown:.60} can't be read; quote what is text"
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _malformed(item)
    if isinstance(node, yaml.MappingNode):
        met: set[str | None] = {None}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in met:
                yield key.start_mark.line + 1, f"{name!s:.60}: the key stands twice, or is none"
            met.add(name)
            yield from _malformed(value)
            yield from _malformed(key)


def _readable(node: yaml.ScalarNode) -> bool:
    # Numbers of base 60 (1:30:00) are read nowhere else, and thousands of places cost seconds.
    if ":" in node.value and node.tag.endswith((":int", ":float")):
        return False
    try:
        yaml.constructor.SafeConstructor().construct_object(node)
    except ValueError:
        return False
    return True


def _line(root: yaml.Node, path: Sequence[str | int]) -> int:
    """Return the line of what a path leads to, or of the nearest above it that is there."""
    node, line = root, root.start_mark.line + 1
    for step in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if not found:
                break
            line, node = found[0].start_mark.line + 1, found[1]
    return line


def _sentence(error: ErrorDetails) -> str:
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"]).lstrip(".")
    message = _MESSAGES.get(error["type"], error["msg"].removeprefix("Value error, "))
    return f"{key or 'the document'}: {message}"
