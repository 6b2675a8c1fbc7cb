"""Prior terms: interactions fixed before training, to which a network is trained as the difference."""
