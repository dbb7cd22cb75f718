"""A bounded buffer and the thread that empties it in batches. Knows neither records nor SQL."""
