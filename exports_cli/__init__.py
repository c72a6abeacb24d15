"""The command `exports`. It knows the API by its contract only and imports nothing of the product."""
