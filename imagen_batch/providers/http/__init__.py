"""Reads HTTP replies strictly, and uses a connection again only when that is safe."""
