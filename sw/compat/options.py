"""Options of ONNX Runtime, taken so that scripts run: none of them changes an answer here."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from kaniwa.compat.errors import Fail

__all__ = ["ExecutionMode", "GraphOptimizationLevel", "RunOptions", "SessionOptions",
           "set_default_logger_severity"]


class GraphOptimizationLevel(enum.IntEnum):
    """Levels of ONNX Runtime's graph optimisation; kaniwa's compiler does not change answers."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """Orders of ONNX Runtime's nodes; a device runs its instructions in their order."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


@dataclass(slots=True)
class _Config:
    """Settings by name, as ONNX Runtime keeps them."""

    _entries: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def _entry(self, key: str) -> str:
        if key not in self._entries:
            raise Fail(f"there is no setting '{key}': it was not added")
        return self._entries[key]


@dataclass(slots=True)
class SessionOptions(_Config):
    """Options of an InferenceSession: all are kept, and none means anything here.

    An unknown one raises AttributeError, as ONNX Runtime's class does.
    """

    enable_cpu_mem_arena: bool = True
    enable_mem_pattern: bool = True
    enable_mem_reuse: bool = True
    enable_profiling: bool = False
    execution_mode: ExecutionMode = ExecutionMode.ORT_SEQUENTIAL
    graph_optimization_level: GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_ALL
    inter_op_num_threads: int = 0
    intra_op_num_threads: int = 0
    log_severity_level: int = -1
    log_verbosity_level: int = 0
    logid: str = ""
    optimized_model_filepath: str = ""
    profile_file_prefix: str = "onnxruntime_profile_"
    use_deterministic_compute: bool = False
    use_per_session_threads: bool = True

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Keep a setting."""
        self._entries[key] = value

    def get_session_config_entry(self, key: str) -> str:
        """A setting that was kept."""
        return self._entry(key)


@dataclass(slots=True)
class RunOptions(_Config):
    """Options of one inference: all are kept, and none means anything here."""

    log_severity_level: int = -1
    log_verbosity_level: int = 0
    logid: str = ""
    only_execute_path_to_fetches: bool = False
    terminate: bool = False

    def add_run_config_entry(self, key: str, value: str) -> None:
        """Keep a setting."""
        self._entries[key] = value

    def get_run_config_entry(self, key: str) -> str:
        """A setting that was kept."""
        return self._entry(key)


def set_default_logger_severity(severity: int) -> None:
    """Take ONNX Runtime's level of messages; kaniwa has its own log."""
