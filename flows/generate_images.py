"""The job as a deployable flow: one prompt file becomes images, a manifest and a summary.

Run it (`python flows/generate_images.py book.csv ...` is `imagen-batch run book.csv ...`), or deploy it
(`prefect deploy flows/generate_images.py:generate_images`).
"""

import sys

from imagen_batch.cli import main
from imagen_batch.orchestration import generate_images

__all__ = ["generate_images"]

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
