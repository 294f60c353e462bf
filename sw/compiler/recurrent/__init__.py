"""Recurrent layers: LSTM and GRU on array, vector unit or cell unit."""
