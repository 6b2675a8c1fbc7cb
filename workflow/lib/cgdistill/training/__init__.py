"""Training of networks, their predictions and their errors."""
