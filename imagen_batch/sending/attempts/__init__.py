"""Sends one request, attempt after attempt, and reads the replies."""
