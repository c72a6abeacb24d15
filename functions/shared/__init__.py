"""What several functions share. No handler lives here."""
