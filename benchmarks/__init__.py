"""What the project claims of speed and memory, measured; each script says in its docstring how and what."""
