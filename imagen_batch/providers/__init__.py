"""The image services: what they offer, where they are, and how they are reached."""
