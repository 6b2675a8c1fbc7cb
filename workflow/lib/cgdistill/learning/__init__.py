"""Networks and what they learn: definition (hippynn), frames, training, predictions and their errors."""
