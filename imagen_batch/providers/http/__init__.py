"""Reads HTTP replies strictly, and reuses a connection only when that is safe."""
