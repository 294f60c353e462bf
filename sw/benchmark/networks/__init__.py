"""Networks of `kaniwa bench`, written as TFLite files with seeded weights: a file a family."""
