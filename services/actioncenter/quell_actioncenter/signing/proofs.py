"""Checking what executors and devices sealed. A device's id is made of its key, so its statement proves itself."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from quell.warrant.v1 import enrolment_pb2, seal_pb2

from quell_runtime.sealing import SealInvalidError, device_id, key_id_of, open_seal

M = TypeVar("M", bound=Message)


def device_of_key(identity_key: bytes) -> str:
    """Return the device whose identity key it is: base32, in lower case, of 16 bytes of the key's SHA-256."""
    return f"devices/{device_id(key_id_of(identity_key))}"


def opened(sealed: seal_pb2.Sealed, message: type[M], public_key: bytes) -> M:
    """Return what was sealed with the private half of `public_key`.

    Raises:
        SealInvalidError: The seal does not hold, or its body can't be read.

    """
    body = open_seal(sealed, message.DESCRIPTOR.full_name, lambda _: public_key)
    return _read(body, message)


def enrolled(sealed: seal_pb2.Sealed) -> enrolment_pb2.Enrolment:
    """Return a device's enrolment statement, sealed by the very key that its id is made of.

    Raises:
        SealInvalidError: It is not.

    """
    claimed = _read(sealed.body, enrolment_pb2.Enrolment)
    found = opened(sealed, enrolment_pb2.Enrolment, claimed.identity_key)
    if found.device != device_of_key(found.identity_key):
        raise SealInvalidError("the device's id is not made of its key")
    return found


def _read(body: bytes, message: type[M]) -> M:
    try:
        return message.FromString(body)
    except DecodeError:
        raise SealInvalidError("what was sealed can't be read") from None
