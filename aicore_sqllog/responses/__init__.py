"""What providers answer, whoever's object carries it, as fields of a record. Imports no SDK, never raises."""
