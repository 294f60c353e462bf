"""The version of kaniwa."""

__all__ = ["__version__"]

# A test holds this equal to pyproject.toml: reading the installed metadata costs 30 ms an import.
__version__ = "0.1.0"
