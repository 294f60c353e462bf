"""The cell unit: a sequence of an integer LSTM as one instruction."""
