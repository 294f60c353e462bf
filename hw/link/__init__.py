"""The byte link to a host: UART, receiver, transmitter, commands."""
