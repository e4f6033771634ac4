"""Makes columns of the tables that need more than their values."""
