"""The record of an export, which is the truth, and the attempts at it."""
