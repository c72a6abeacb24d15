"""What a caller sees: requests, answers, problems. This package imports no engine."""
