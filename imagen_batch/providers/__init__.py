"""Describes the image services and sends requests to them: capabilities, addresses, credentials, transport."""
