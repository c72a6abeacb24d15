"""What a caller sees: requests, answers, problems. It imports no engine."""
