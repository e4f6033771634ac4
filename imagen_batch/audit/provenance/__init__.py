"""Verifies the C2PA provenance data in a run's images."""
