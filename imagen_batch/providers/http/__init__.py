"""Exchanges one request and its reply on a connection, and reads the reply strictly."""
