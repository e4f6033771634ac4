"""Turns prompt rows into checked, priced and keyed requests that are still pending."""
