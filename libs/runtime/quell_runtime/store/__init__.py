"""The one store class that serves every process: load, decide, write, in one transaction for a group of callers."""

from quell_runtime.store.connection import Connection, Query, Statement
from quell_runtime.store.store import Change, Store, View
from quell_runtime.store.table import SqlValue, Table, replace, table

__all__ = ["Change", "Connection", "Query", "SqlValue", "Statement", "Store", "Table", "View", "replace", "table"]
