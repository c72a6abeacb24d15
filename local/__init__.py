"""Runs the project on this machine: the AWS emulator, the deployed stack, sample data, and the demonstration."""
