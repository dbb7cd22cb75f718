"""Questions: filters into Selects, rows into frames; all pure but the execution."""
