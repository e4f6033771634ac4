"""The image services: what they offer, where they are, and how requests reach them."""
