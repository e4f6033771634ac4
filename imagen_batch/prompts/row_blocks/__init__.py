"""Reads the rows of a table in blocks of columns, where that gives exactly the same rows as reading one by one."""
