"""Names the files that a run replaces at its end, besides the dataset card."""

TABLE_FILES = (
    *("manifest.parquet", "manifest.csv", "failures.csv", "metadata.parquet", "summary.json", "summary.md"),
    "gallery.html",
)
