"""What `kaniwa selftest` checks on a device: link, memory, array, and a model's answers."""
