"""Names the files that a run replaces at its end."""

TABLE_FILES = (
    *("manifest.parquet", "manifest.csv", "failures.csv", "metadata.parquet", "summary.json", "summary.md"),
    "gallery.html",
)

CARD = "README.md"
"""The dataset card. A file of this name that is the user's own is not replaced."""
