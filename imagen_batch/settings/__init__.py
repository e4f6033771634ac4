"""Merges the settings of a run from options, environment and file, and validates them.

settings.py                        every setting with its default, and what follows from several of them
service_parameters.py              the options that --parameter sets
field_types.py                     their types, and how text is parsed
load_from_file_and_environment.py  typed settings over environment over file
validate_values.py                 plain values to settings, or every problem
fill_in_date_and_budget_root.py    name and date in the output folder, and the folder that shares a budget
"""

from imagen_batch.settings.fill_in_date_and_budget_root import with_folder_of_date
from imagen_batch.settings.load_from_file_and_environment import (
    CONFIG_FILE,
    ENV_PREFIX,
    load_out,
    load_settings,
    load_watching,
    merge,
)
from imagen_batch.settings.service_parameters import Parameters
from imagen_batch.settings.settings import DEFAULT_MODEL, WATCHING, Settings
from imagen_batch.settings.validate_values import make_settings

__all__ = [
    "CONFIG_FILE",
    "DEFAULT_MODEL",
    "ENV_PREFIX",
    "WATCHING",
    "Parameters",
    "Settings",
    "load_out",
    "load_settings",
    "load_watching",
    "make_settings",
    "merge",
    "with_folder_of_date",
]
