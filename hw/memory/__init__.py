"""Device memory: arbitration, on-chip memory, the host's port."""
