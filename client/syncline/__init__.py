"""
syncline: push-based continuous replication.

::

    async with syncline.connect("http://127.0.0.1:8765", store="todos.db", models=["todo"]) as r:
        await r.model("todo").put("1", {"title": "milk"})

Names are imported when they are first used, so that a program that needs one pays for one.
"""

import importlib
from typing import TYPE_CHECKING, Any

# These share their module's name, which the import of the module would put in their place.
from syncline.diff import diff as diff
from syncline.merge import merge as merge
from syncline.rebase import rebase as rebase
from syncline.replicate import replicate as replicate


if TYPE_CHECKING:
    from syncline.backoff import backoff_delay as backoff_delay
    from syncline.brake import Brake as Brake
    from syncline.bulk import plan_bulk_update as plan_bulk_update
    from syncline.change_log import ChangeLog as ChangeLog
    from syncline.conflict_log import ConflictLog as ConflictLog
    from syncline.conflicts import settle as settle
    from syncline.connecting import connect as connect
    from syncline.digest import canonical_json as canonical_json
    from syncline.digest import digest_of as digest_of
    from syncline.effects import ApplyUpdates as ApplyUpdates
    from syncline.effects import RequestChanges as RequestChanges
    from syncline.effects import SendUpdates as SendUpdates
    from syncline.ends import RemoteModel as RemoteModel
    from syncline.ends import RemoteReplica as RemoteReplica
    from syncline.ends import connect_remote as connect_remote
    from syncline.engine import Engine as Engine
    from syncline.errors import MassDeletion as MassDeletion
    from syncline.errors import SynclineError as SynclineError
    from syncline.hooks import Hooks as Hooks
    from syncline.hooks import Refuse as Refuse
    from syncline.link import Link as Link
    from syncline.model import Model as Model
    from syncline.models import BulkResult as BulkResult
    from syncline.models import Change as Change
    from syncline.models import ChangeKind as ChangeKind
    from syncline.models import Checkpoint as Checkpoint
    from syncline.models import Conflict as Conflict
    from syncline.models import Cursor as Cursor
    from syncline.models import Diff as Diff
    from syncline.models import Resolution as Resolution
    from syncline.models import Update as Update
    from syncline.models import Verdict as Verdict
    from syncline.protocol import PROTOCOL_VERSION as PROTOCOL_VERSION
    from syncline.protocol import Message as Message
    from syncline.protocol import decode as decode
    from syncline.protocol import encode as encode
    from syncline.ranges import Difference as Difference
    from syncline.ranges import DifferenceKind as DifferenceKind
    from syncline.reasons import Explanation as Explanation
    from syncline.replica import Compaction as Compaction
    from syncline.replica import Replica as Replica
    from syncline.replicate import Checkpoints as Checkpoints
    from syncline.replicate import Replication as Replication
    from syncline.replicate import ReplicationConflict as ReplicationConflict
    from syncline.resolving import OpenConflict as OpenConflict
    from syncline.revision import Revision as Revision
    from syncline.revision import new_revision as new_revision
    from syncline.schema import ModelSchema as ModelSchema
    from syncline.schema import Property as Property
    from syncline.schema import PropertyKind as PropertyKind
    from syncline.session import Session as Session
    from syncline.session import SessionSettings as SessionSettings
    from syncline.status import SessionState as SessionState
    from syncline.status import Status as Status
    from syncline.store.contract import ParkedRow as ParkedRow
    from syncline.store.contract import Store as Store
    from syncline.store.contract import Transaction as Transaction
    from syncline.verdicts import offer as offer
    from syncline.verdicts import take as take
    from syncline.verify import Repair as Repair
    from syncline.verify import Verification as Verification


_EXPORTS = {
    "backoff_delay": "backoff",
    "Brake": "brake",
    "plan_bulk_update": "bulk",
    "ChangeLog": "change_log",
    "ConflictLog": "conflict_log",
    "canonical_json": "digest",
    "digest_of": "digest",
    "RemoteModel": "ends",
    "RemoteReplica": "ends",
    "connect_remote": "ends",
    "Engine": "engine",
    "MassDeletion": "errors",
    "SynclineError": "errors",
    "Hooks": "hooks",
    "Refuse": "hooks",
    "Link": "link",
    "connect": "connecting",
    "Model": "model",
    "BulkResult": "models",
    "Change": "models",
    "ChangeKind": "models",
    "Checkpoint": "models",
    "Conflict": "models",
    "Cursor": "models",
    "Diff": "models",
    "Resolution": "models",
    "Update": "models",
    "Verdict": "models",
    "PROTOCOL_VERSION": "protocol",
    "Message": "protocol",
    "decode": "protocol",
    "encode": "protocol",
    "Difference": "ranges",
    "DifferenceKind": "ranges",
    "Explanation": "reasons",
    "Compaction": "replica",
    "OpenConflict": "resolving",
    "Replica": "replica",
    "Checkpoints": "replicate",
    "Replication": "replicate",
    "ReplicationConflict": "replicate",
    "Revision": "revision",
    "new_revision": "revision",
    "ModelSchema": "schema",
    "Property": "schema",
    "PropertyKind": "schema",
    "settle": "conflicts",
    "SendUpdates": "effects",
    "ApplyUpdates": "effects",
    "RequestChanges": "effects",
    "Session": "session",
    "SessionSettings": "session",
    "SessionState": "status",
    "Status": "status",
    "ParkedRow": "store.contract",
    "Store": "store.contract",
    "Transaction": "store.contract",
    "offer": "verdicts",
    "take": "verdicts",
    "Repair": "verify",
    "Verification": "verify",
}

__all__ = sorted([*_EXPORTS, "diff", "merge", "rebase", "replicate"])  # noqa: PLE0605 - the names are the table's


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module 'syncline' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"syncline.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
