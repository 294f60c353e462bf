"""The self-test over the link of the simulated accelerator: gateware from the first byte on."""

import pytest

from kaniwa.board_device import BoardDevice
from kaniwa.selftest.suite import selftest
from kaniwa.sim.bench_accelerator import CONFIGS
from kaniwa.sim.stream_device import PACE, StreamTransport


@pytest.mark.rtl
def test_the_accelerator_behind_its_byte_stream_passes():
    config = CONFIGS[0]
    line = StreamTransport(config)
    with BoardDevice("board", target=config, connect=lambda: line) as device:
        report = selftest(device, quick=True)
    assert report.verdict == "PASS (not run: model)"
    link, memory, array, _ = (part.values for part in report.parts)
    assert link["repeated"] == link["damaged"] == link["refused"] == link["timeouts"] == 0
    assert link["line_bytes_per_second"] == PACE and 0.95 < link["write_share"] < 0.96
    assert memory["bytes"] == config.memory_bytes and memory["faults"] == []
    assert len(array["layers"]) == 7 and len(array["left_out"]) == 3    # of 8 KiB
    assert all(row["cycles"] == row["estimate"] for row in array["layers"])
