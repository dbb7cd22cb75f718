"""Records kept in files: what no database takes."""
