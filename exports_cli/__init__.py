"""`exports`: the command line of whoever wants a file. It knows the API by its contract, and nothing of the product."""
