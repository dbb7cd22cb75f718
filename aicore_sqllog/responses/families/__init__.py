"""One file for each shape of answers that providers speak."""
