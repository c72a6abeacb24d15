"""What every function stands on: its frame, its contract, its clients of AWS, its clock, its telemetry."""
