"""How fast attempts start: before any refusal, after refusals, and with what earlier runs found."""
