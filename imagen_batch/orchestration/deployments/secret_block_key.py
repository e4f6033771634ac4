"""Finds the API key in the Prefect Secret block that a deployment names."""

from __future__ import annotations

import os
from collections.abc import Mapping

from imagen_batch.errors import SettingsInvalid
from imagen_batch.settings import Settings


def environment_with_key(settings: Settings, env: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """Return the environment of a run, with the key from a Prefect Secret block where the settings name one."""
    if settings.api_key_block is None:
        return env
    from prefect.blocks.system import Secret  # noqa: PLC0415 - imports Prefect

    try:
        block = Secret.load(settings.api_key_block)
        key = block.get()  # type: ignore[union-attr]
    except Exception as error:  # noqa: BLE001 - whatever the server answers, there is no key
        raise SettingsInvalid(
            f"--api-key-block {settings.api_key_block}: Prefect has no such Secret block ({type(error).__name__})"
        ) from None
    return {**env, "GOOGLE_API_KEY": str(key)}
