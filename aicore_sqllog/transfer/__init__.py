"""A log taken elsewhere, and taken in: exports in parts with a manifest, and the logs of other programs."""
