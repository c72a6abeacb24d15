"""The record of an export, which is the source of truth, and the attempts at an export."""
