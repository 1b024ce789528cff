"""The tables of the device service; `migrations/` makes them."""

from quell_device.domain.artifacts import ArtifactRecord, ErrandRecord, UsageRecord
from quell_device.domain.records import DeviceRecord, TokenRecord, WordRecord
from quell_runtime.store import table

DEVICES = table(DeviceRecord, "devices", "id")
TOKENS = table(TokenRecord, "tokens", "digest")
WORDS = table(WordRecord, "words", "name")
ERRANDS = table(ErrandRecord, "errands", "action")
ARTIFACTS = table(ArtifactRecord, "artifacts", "id")
USAGE = table(UsageRecord, "usage", "device")
