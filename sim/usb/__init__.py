"""A host of USB at full speed, written from the USB 2.0 specification: line, packets, transfers."""

__all__: list[str] = []
