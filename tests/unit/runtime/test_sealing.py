"""Seals are, byte by byte, what the contract's test vectors say."""

import json
from pathlib import Path
from typing import Any

import pytest
from quell.warrant.v1 import seal_pb2

from quell_runtime.sealing import SealInvalidError, SealKey, open_seal

VECTORS = json.loads((Path(__file__).parents[2] / "support" / "seal_vectors.json").read_text())
PUBLIC = bytes.fromhex(VECTORS["key"]["public"])
KEY_ID = bytes.fromhex(VECTORS["key"]["key_id"])


def sealed(vector: dict[str, Any]) -> seal_pb2.Sealed:
    """Return a vector as the message."""
    return seal_pb2.Sealed(
        type=vector["type"],
        body=bytes.fromhex(vector["body"]),
        key_id=bytes.fromhex(vector["key_id"]),
        signature=bytes.fromhex(vector["signature"]),
        leaf_index=vector["leaf_index"],
        leaf_count=vector["leaf_count"],
        path=[bytes.fromhex(step) for step in vector["path"]],
    )


def key_of(key_id: bytes) -> bytes | None:
    """Return the one key that is good."""
    return PUBLIC if key_id == KEY_ID else None


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda case: case["name"])
def test_what_is_sealed_right_opens(case: dict[str, Any]) -> None:
    """Every valid vector opens to its body, and sealing anew gives the same bytes."""
    found = [sealed(vector) for vector in case["sealed"]]
    for one in found:
        assert open_seal(one, one.type, key_of) == one.body
    if len(found) == found[0].leaf_count and len({one.type for one in found}) == 1:
        key = SealKey(bytes.fromhex(VECTORS["key"]["private"]))
        assert key.seal(found[0].type, [one.body for one in found]) == found


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["name"])
def test_what_is_not_is_refused(case: dict[str, Any]) -> None:
    """Every refused vector is refused, whatever type it says."""
    one = sealed(case.get("sealed", case))
    expected = one.type if one.type in VECTORS["known_types"] else "quell.warrant.v1.Warrant"
    with pytest.raises(SealInvalidError):
        open_seal(one, case.get("expected_type", expected), key_of)
