"""Exports a finished run in the formats that other programs and people use.

export.py   one export, from the run's folder to the finished output
options.py  the options of one export
iterate_rows_and_images.py  images with their rows, for Python programs
job.py      the data for a format's writer
rows/       the rows that are exported, and their images: manifest, selection, where, splits
output/     the folder or bucket, which is written completely or not at all
formats/    one module a format
quality/    images that look wrong: duplicates, flat color, shape, size
documents/  dataset card, Croissant and XMP metadata
pdf/        pages of a contact sheet
"""
