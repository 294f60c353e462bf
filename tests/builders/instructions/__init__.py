"""Random instructions with their memory."""
