"""From call records to committed rows, each exactly once."""
