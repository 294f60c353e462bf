"""Search for the config of an accelerator: cycles, area and energy of models on a board."""
