"""Which rows an export holds, and in which parts they are made."""
