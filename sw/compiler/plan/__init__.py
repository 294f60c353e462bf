"""Plan of a model: layers, requantization, streams, bounds, states."""
