"""The cell unit: sequences of an integer LSTM, one instruction each."""
