"""Shows a run's images in one static page and turns a person's decisions into the next run's input.

gallery_items.py     the data of one sample
manifest_items.py    reads those values from a run folder
explain_no_image.py  the reason for a missing image, and what can be done
thumbnails.py        small copies of the images, made once
plain_items.py       the samples of a long manifest, as columns of the page where nothing is said about them
page_data.py         items as compact JSON
gallery.py           the page itself: `gallery.html`
run_gallery.py       the page at the end of a run
review_csv.py        decisions as `review.csv`, the contract between the page, spreadsheets and the next run
server.py            the same page on loopback, where each decision is saved at once
decisions/           decisions in the run's ledger, and the versions that were made for them
page/                the page's markup, style and scripts
"""

from imagen_batch.review.gallery import GallerySummary, build_gallery, write_gallery
from imagen_batch.review.gallery_items import EarlierVersion, GalleryItem
from imagen_batch.review.manifest_items import items_from_manifest
from imagen_batch.review.review_csv import Decision, read_review, write_review
from imagen_batch.review.server import GalleryServer, serve_gallery
from imagen_batch.review.thumbnails import with_thumbnails

__all__ = [
    "Decision",
    "EarlierVersion",
    "GalleryItem",
    "GalleryServer",
    "GallerySummary",
    "build_gallery",
    "items_from_manifest",
    "read_review",
    "serve_gallery",
    "with_thumbnails",
    "write_gallery",
    "write_review",
]
