"""The checks of `exports-admin doctor`. :mod:`.checks` lists them, and each module has those of one subject."""
