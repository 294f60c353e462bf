"""The link over UDP: its datagrams, their numbers, and the host's end of them."""
