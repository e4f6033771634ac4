"""Turns a finished run into the form in which other programs and people take images.

command.py     `imagen-batch export`: options, progress, messages
export.py      one export from run folder to finished output
manifest.py    the run's manifest as a stream of images
where.py       `--where`, compiled to an Arrow expression
splits.py      which split an image belongs to
target.py      the output: a folder or a bucket, whole or not at all
formats/       one module a format
quality/       images that look wrong: duplicates, flat color, shape, size
documents/     dataset card and Croissant metadata
"""
