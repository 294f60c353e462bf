"""Float models quantised by the ecosystem's own quantisers, with the error that it costs."""
