"""Implements the service's side of both dialects: routes, requests, replies and errors."""
