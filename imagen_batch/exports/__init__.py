"""Turns a finished run into the form in which other programs and people take images.

export.py      one export, from the run's folder to the finished output
options.py     the choices of one export; job.py what a format's writer gets
rows/          which rows are exported, and their images: manifest, selection, where, splits
output/        what appears: a folder or a bucket, whole or not at all
formats/       one module a format
quality/       images that look wrong: duplicates, flat color, shape, size
documents/     dataset card, Croissant and XMP metadata
pdf/           pages of a contact sheet
"""
