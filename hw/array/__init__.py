"""The MAC array, max pooling, and the buffer of their results."""
