"""What is wrong with the audit log, and what cannot be done with it."""

from __future__ import annotations

from vault.errors.base import PanlessError


class AuditError(PanlessError):
    """Something about the audit log."""


class AuditLogChanged(AuditError):
    code = "audit_log_changed"
    message = "The newest checkpoint of the audit log, of size {size}, is not the one that was made."
    remedy = "Run `panless audit verify` with the anchors and a key from outside the database; see docs/audit.md."


class AuditExportRefused(AuditError):
    code = "audit_export_refused"
    message = "The audit log was not exported: {reason}."
    remedy = "Nothing was deleted. See docs/audit.md."


class AuditEvidenceUnreadable(AuditError):
    code = "audit_evidence_unreadable"
    message = "{file} cannot be verified: {reason}."
    remedy = "Give the files as `panless audit export`, `panless audit prove` and `panless keys public` write them."


class AuditEventNotFound(AuditError):
    code = "audit_event_not_found"
    message = "There is no proof of event {event}: {reason}."
    remedy = "See `panless audit list --json` for chain and seq; `panless audit checkpoint` covers the newest events."


class AuditSinkFailed(AuditError):
    code = "audit_sink_failed"
    message = "Audit sink {sink} did not take what it was sent: {reason}."
    remedy = "Look after the sink; what it has not got stays due, and is sent again."


class CheckpointBusy(AuditError):
    code = "checkpoint_busy"
    message = "Another process is making a checkpoint."
    remedy = "Wait a moment, then give the command once more."
