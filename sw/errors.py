"""Errors that kaniwa raises: one line that says what, where and what to do."""

__all__ = ["Error", "ConfigError", "ModelError", "UnsupportedError", "CompileError",
           "MemoryTooSmallError", "ProgramError", "DeviceError", "InputError", "BuildError"]


class Error(Exception):
    """Base of every error that kaniwa raises on purpose. ``str(error)`` is one line."""


class ConfigError(Error, ValueError):
    """An ``AcceleratorConfig`` or target that is not legal; names the field and its legal range."""


class ModelError(Error):
    """A model file that is missing, damaged or not a quantised model."""


class UnsupportedError(Error):
    """A well-formed model that uses something kaniwa does not support; names node and way out."""


class CompileError(Error):
    """A model that cannot be compiled for this target (does not fit, is not exact, ...)."""


class MemoryTooSmallError(CompileError):
    """A model that needs more device memory than the target has: ``needed_bytes``."""

    def __init__(self, message: str, needed_bytes: int) -> None:
        super().__init__(message)
        self.needed_bytes = needed_bytes


class ProgramError(Error):
    """A program file that is corrupt, of another version or for another target."""


class DeviceError(Error):
    """A device that is missing, failed, or reported an error while running."""


class InputError(Error, ValueError):
    """An input array with a wrong name, shape or dtype."""


class BuildError(Error):
    """A bitstream that cannot be built: a tool failed, or the design does not fit the board."""
