"""Simulates an image service on loopback that speaks both dialects and can inject faults.

It is a strict reading of the services' documentation, independent of the client code, so that each tests the other.
"""

from imagen_batch.simulator.command import main
from imagen_batch.simulator.embedded import Simulator
from imagen_batch.simulator.faults.all_faults import FAULTS
from imagen_batch.simulator.pictures.mark_image import read_stamp
from imagen_batch.simulator.usage_log import Bill, DeliveredImage, ReceivedRequest

__all__ = ["FAULTS", "Bill", "DeliveredImage", "ReceivedRequest", "Simulator", "main", "read_stamp"]
