"""Measurements of `kaniwa bench`: models, dense layers and scaling, and the page made from it."""
