"""Every table of the Action Center. Columns are the fields of its record; indices stand in the migrations."""

from quell_actioncenter.domain import records
from quell_runtime.store import table

ACTIONS = table(records.ActionRecord, "actions", "name")
INVESTIGATIONS = table(records.InvestigationRecord, "investigations", "name")
EVIDENCE = table(records.EvidenceRecord, "evidence", "name")
OUTBOX = table(records.OutboxRecord, "outbox", "action")
EVENTS = table(records.EventRecord, "events", "number")
REQUESTS = table(records.RequestRecord, "requests", "id")
ITEM_CHUNKS = table(records.ItemChunkRecord, "item_chunks", "name")
EFFECTS = table(records.EffectRecord, "effects", "name")
TARGETS = table(records.TargetRecord, "targets", "name")
HOSTS = table(records.HostRecord, "hosts", "host_name")
EXECUTORS = table(records.ExecutorRecord, "executors", "plane")
EQUALS = table(records.EqualRecord, "equals", "key")
BUDGETS = table(records.BudgetRecord, "budgets", "name")
FREEZES = table(records.FreezeRecord, "freezes", "name")
POLICIES = table(records.PolicyRecord, "policies", "number")
COUNTERS = table(records.CounterRecord, "counters", "name")
