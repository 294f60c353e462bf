"""Counts of a server in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from kaniwa.serve.queue import Queue

__all__ = ["Metrics"]

BOUNDS = (.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30)     # seconds


class Metrics:
    """``requests`` counts by status, ``calls`` those over gRPC by code, ``inferences`` and
    ``seconds`` by model."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, queue: Queue) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("kaniwa_requests", "Requests answered, by HTTP status.",
                                ["status"], registry=self._registry)
        self.calls = Counter("kaniwa_grpc_calls", "Calls over gRPC answered, by code.", ["code"],
                             registry=self._registry)
        self.inferences = Counter("kaniwa_inferences", "Inferences answered, by model.",
                                  ["model"], registry=self._registry)
        self.seconds = Histogram("kaniwa_request_seconds",
                                 "From the head of an inference request to its answer.",
                                 ["model"], buckets=BOUNDS, registry=self._registry)
        self._registry.register(_Devices(queue))

    def answered(self, model: str, inferences: int, seconds: float) -> None:
        """Count a request with so many inferences that was answered after ``seconds``."""
        self.inferences.labels(model).inc(inferences)
        self.seconds.labels(model).observe(seconds)

    def text(self) -> bytes:
        """All counts at this moment."""
        return generate_latest(self._registry)


class _Devices(Collector):
    """What queue and pool know, asked when it is told."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        queue = self._queue
        yield GaugeMetricFamily("kaniwa_queue_inferences", "Inferences that wait or run.",
                                queue.held)
        yield GaugeMetricFamily("kaniwa_queue_limit", "The most that may wait or run.", queue.size)
        inferences = CounterMetricFamily("kaniwa_device_inferences",
                                         "Inferences that a device has done.", labels=["device"])
        cycles = CounterMetricFamily("kaniwa_device_cycles",
                                     "Cycles of the device for them.", labels=["device"])
        lost = GaugeMetricFamily("kaniwa_device_lost", "1 where the device is lost.",
                                 labels=["device"])
        for member in queue.pool.stats:
            inferences.add_metric([member.name], member.inferences)
            cycles.add_metric([member.name], member.cycles)
            lost.add_metric([member.name], float(bool(member.lost)))
        yield from (inferences, cycles, lost)
