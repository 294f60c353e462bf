"""TFLite files: verifier, schema, operators by family."""
