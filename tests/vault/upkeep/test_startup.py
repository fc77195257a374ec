"""Getting at the KEK: the file of a new vault is made, that of a vault in use is never replaced."""

from __future__ import annotations

import pytest

from vault.errors import KeyUnavailable
from vault.key_settings import FileSettings, TransitSettings
from vault.kinds import PAN
from vault.requests import NewValue
from vault.sensitive import Sensitive
from vault.settings import VaultSettings
from vault.upkeep.startup import ensure_development_kek

TRANSIT = TransitSettings("http://127.0.0.1:1", "panless", lambda: "token")


@pytest.mark.parametrize("others", [[], [TRANSIT]], ids=["alone", "beside another provider"])
async def test_a_missing_kek_is_made_for_a_new_vault_only(others, tmp_path, database, open_vault, kek, context):
    new = tmp_path / "new"
    settings = VaultSettings(tmp_path, [FileSettings(new), *others])
    assert await ensure_development_kek(settings, database)
    assert new.exists()
    new.unlink()
    vault = await open_vault()
    await vault.tokenize([NewValue(PAN, Sensitive("4242424242424242"), "$")], "default", context)
    with pytest.raises(KeyUnavailable, match="is missing, and the vault was sealed under it"):
        await ensure_development_kek(settings, database)
    assert not new.exists()


async def test_a_vault_that_moves_to_a_file_gets_one(tmp_path, database, open_vault, kek, context):
    vault = await open_vault()
    await vault.tokenize([NewValue(PAN, Sensitive("4242424242424242"), "$")], "default", context)
    settings = VaultSettings(tmp_path, [FileSettings(tmp_path / "new"), FileSettings(kek)])
    assert await ensure_development_kek(settings, database)
