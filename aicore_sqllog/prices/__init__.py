"""What a call cost, where neither the caller nor the provider says so. Nothing here reads a network."""
