"""Small parts that several blocks share: FIFOs, counters, credits, adders."""
