"""Received bytes become one complete, validated file, or none."""
