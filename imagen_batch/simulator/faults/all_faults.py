"""Collects all faults by name, in the order in which `simulate --list-faults` prints them."""

from __future__ import annotations

from collections.abc import Mapping

from imagen_batch.simulator.faults.error_replies import ERRORS, QUOTAS
from imagen_batch.simulator.faults.fault import Fault
from imagen_batch.simulator.faults.missing_or_odd_images import IMAGES
from imagen_batch.simulator.faults.transfer_faults import TRANSFERS

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in (*ERRORS, *QUOTAS, *IMAGES, *TRANSFERS)}
