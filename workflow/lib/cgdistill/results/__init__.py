"""Tables of the whole run and what they support."""
