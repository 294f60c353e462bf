"""What `kaniwa bench` measures: models, dense layers and scaling, and the page made from it."""
