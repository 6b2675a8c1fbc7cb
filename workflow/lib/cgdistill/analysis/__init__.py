"""Analysis of finished simulations and of the labels."""
