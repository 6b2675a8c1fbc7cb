"""Periodic cells and neighbour lists."""
