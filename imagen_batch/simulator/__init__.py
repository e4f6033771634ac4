"""What would an image service say? One on loopback that speaks both dialects and can misbehave.

Its own strict reading of the services' documentation, independent of the client side: each tests the other.
"""

from imagen_batch.simulator.command import main
from imagen_batch.simulator.embedded import Simulator
from imagen_batch.simulator.faults.table import FAULTS
from imagen_batch.simulator.pictures.stamp import read_stamp
from imagen_batch.simulator.usage_log import Bill, Delivered, Received

__all__ = ["FAULTS", "Bill", "Delivered", "Received", "Simulator", "main", "read_stamp"]
