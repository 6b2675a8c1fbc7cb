"""File formats that are not particular to one stage."""
