"""`imagen-batch models`: lists the models."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from imagen_batch.cli.options import (
    add_config_option,
    add_json_option,
)
from imagen_batch.system.streams import print_result

if TYPE_CHECKING:
    from imagen_batch.cli.strict_parser import Subparsers


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options to the command line."""
    models = commands.add_parser("models", help="list the models: dialect, sizes, ratios, prices, lifecycle")
    add_json_option(models, help_text="print one JSON array")
    add_config_option(models)


def run(args: Namespace) -> int:
    """List the models."""
    from imagen_batch.cli.model_table import models_json, models_text  # noqa: PLC0415
    from imagen_batch.settings import load_settings  # noqa: PLC0415

    env = {name: value for name, value in os.environ.items() if name == "IMAGEN_BATCH_MODELS"}
    own_models = load_settings({"prompts": "-"}, env=env, config=args.config).models
    print_result(models_json(own_models) if args.as_json else models_text(own_models))
    return 0
