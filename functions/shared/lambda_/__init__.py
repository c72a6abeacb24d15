"""What every function uses: the handler's frame, event contracts, AWS clients, the clock, telemetry."""
