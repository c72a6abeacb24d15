"""The command `exports-admin`, which operates a stack. Each command is a module; :mod:`.commands` lists them."""
