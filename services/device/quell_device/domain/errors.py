"""What the device service refuses."""

from quell_runtime.errors import (
    AwayError,
    ChangedError,
    DamagedError,
    ForbiddenError,
    FullError,
    InvalidError,
    RangeError,
    StateError,
    UnknownError,
)


class NoSuchDeviceError(UnknownError):
    """No such device is enrolled."""

    reason = "DEVICE_UNKNOWN"


class StrangerError(ForbiddenError):
    """The certificate is ours, the device isn't known: it was enrolled with data that we lost. Enrol it anew."""

    reason = "DEVICE_UNKNOWN"


class BannedError(ForbiddenError):
    """The device is banned; the machine can be enrolled anew, with a new identity key."""

    reason = "DEVICE_BANNED"


class OffboardedError(ForbiddenError):
    """The device left our care; the machine can be enrolled anew, with a new identity key."""

    reason = "DEVICE_OFFBOARDED"


class GoneError(StateError):
    """The device is banned or offboarded: nothing about it changes any more."""

    reason = "DEVICE_GONE"


class KeyMismatchError(ForbiddenError):
    """The identity key is not that of the device whose certificate it is."""

    reason = "DEVICE_MISMATCH"


class TokenRefusedError(ForbiddenError):
    """The token is unknown, expired, or used with another key. Which, is not told."""

    reason = "TOKEN_INVALID"


class AmbiguousError(StateError):
    """Streams of one identity replace each other again and again: two machines may have it."""

    reason = "TARGET_AMBIGUOUS"


class SlowError(FullError):
    """It does not read what is sent to it."""

    reason = "STREAM_SLOW"


class ReplacedError(ChangedError):
    """A newer stream took the place of this one."""

    reason = "STREAM_REPLACED"


class StatementInvalidError(InvalidError):
    """The device's statement does not hold."""

    reason = "SEAL_INVALID"


class ActionUnknownError(UnknownError):
    """No action of this device asked for it."""

    reason = "ACTION_UNKNOWN"


class HeaderMissingError(InvalidError):
    """An upload is one header, then chunks."""

    reason = "HEADER_MISSING"


class ChunkMisplacedError(InvalidError):
    """The chunk does not begin where the part that came ends, or goes on past the end."""

    reason = "OFFSET_INVALID"


class NoRoomError(FullError):
    """There is no room for the artifact. Nothing of it was stored."""

    reason = "STORE_FULL"


class IdleError(AwayError):
    """Nothing came for too long."""

    reason = "STREAM_IDLE"


class MismatchError(DamagedError):
    """What came is not what was announced. None of it is kept."""

    reason = "DIGEST_MISMATCH"


class NoSuchArtifactError(UnknownError):
    """There is no such artifact, it was thrown away, or it is not wholly here."""

    reason = "ARTIFACT_UNKNOWN"


class OffsetInvalidError(RangeError):
    """The artifact ends before that."""

    reason = "OFFSET_INVALID"


class ArtifactDamagedError(DamagedError):
    """What lies in the store is not what was put there."""

    reason = "ARTIFACT_DAMAGED"
