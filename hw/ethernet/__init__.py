"""The link over Ethernet: datagrams of UDP from and to a PHY, where a board has one."""
