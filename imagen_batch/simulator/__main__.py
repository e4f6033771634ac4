"""Runs the simulator: `python -m imagen_batch.simulator`."""

from imagen_batch.simulator.command import main

raise SystemExit(main())
