"""Documents in the statements of what refers to them: written together, or not at all."""

from __future__ import annotations

from vault.documents import Document


def document_part(first: int, source: str = "") -> str:
    """Return the CTE `document`, which inserts one; its six parameters begin at `$first`.

    `source`: the CTE that has to have a row, or nothing is inserted. The statement has to select from `keys_part`.
    """
    places = ", ".join(
        f"${first + offset}::{type_}" for offset, type_ in enumerate(("uuid", "text", "text", "uuid", "bytea"))
    )
    where = f" FROM {source}" if source else ""
    return f"""
    keys_part AS (
      SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM key_changes WHERE number = ${first + 5}::bigint)
                  THEN panless_conflict('changes') END AS changed
    ), document AS (
      INSERT INTO documents (id, tenant, kind, data_key, sealed) SELECT {places}{where} RETURNING id
    )"""  # noqa: S608  # numbers and names of ours


def document_values(document: Document) -> tuple[object, ...]:
    """Return the parameters of `document_part`."""
    return (document.id, document.tenant, document.kind, document.data_key, document.sealed, document.changes)
