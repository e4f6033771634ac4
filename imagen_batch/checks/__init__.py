"""Checks what a run needs before it starts, without a generation and without a cost."""
