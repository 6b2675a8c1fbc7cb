"""Figures: one module per family, one style for all of them."""
