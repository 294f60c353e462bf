"""The accelerator in the frameworks of others."""
