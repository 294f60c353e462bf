"""The C driver against a window with the emulator behind it, by models that `export` writes."""

import ctypes
import re

import numpy as np
import pytest
from builders.bus_window import BusWindow
from builders.c_driver import (
    MAINTAIN,
    RISCV,
    WAIT,
    CDriver,
    Result,
    build,
    bytes_on_rv32,
    compile_strictly,
    write_model,
)

import kaniwa
from kaniwa.export.c_source import driver_file
from kaniwa.isa import ISA_VERSION, MAGIC, OUTSIDE, Command, ErrorCode, Register, Status
from kaniwa.isa.bus import (
    BASE_ALIGNMENT,
    BUS_VERSION,
    BusError,
    BusRegister,
    Feature,
    Interrupt,
)
from kaniwa.isa.sensor import (
    OFFERING,
    SENSOR_VERSION,
    SensorControl,
    SensorEvent,
    SensorRegister,
)

INFERENCES = 12
RAM_BYTES = 1 << 17
RAM_BASE = 0x9000_0000
LARGEST = 8192     # bytes of code on RV32


@pytest.fixture(scope="module")
def recordings(models):
    return np.load(models / "inputs" / "kws01_1000.npz")["x"][:INFERENCES]


@pytest.fixture(scope="module")
def spotting(models, tmp_path_factory):
    """Keyword spotting as a program, and the library of driver and model."""
    folder = tmp_path_factory.mktemp("spotting")
    program = kaniwa.compile(models / "mlperf_kws_dscnn.tflite", target="base_vector")
    return program, build(folder, [write_model(folder, program)])


@pytest.fixture
def window(spotting):
    return BusWindow(spotting[0].config)


@pytest.fixture
def driver(spotting, window):
    """A driver that was opened."""
    driver = CDriver(spotting[1], window)
    assert driver.call("kaniwa_open") == Result.OK
    return driver


@pytest.fixture
def loaded(driver):
    """A driver that has the model loaded."""
    assert driver.call("model_load") == Result.OK
    return driver


def infer(driver, value):
    """Result and answer of a network with twelve classes."""
    answer = np.full((1, 12), 99, np.int8)
    return driver.call("model_run", np.ascontiguousarray(value), answer), answer


def golden(program, values):
    """The golden outputs of each of ``values``, one behind the other."""
    session = kaniwa.Session(program, kaniwa.open("golden"))
    return [next(iter(session.run([value]).values())) for value in values]


def test_answers_of_keyword_spotting_are_golden(loaded, window, spotting, recordings):
    """Every output of a dozen inferences, the driver polling; no access during a run."""
    values = [recording[None] for recording in recordings]
    for value, wanted in zip(values, golden(spotting[0], values), strict=True):
        result, answer = infer(loaded, value)
        assert result == Result.OK
        np.testing.assert_array_equal(answer, wanted)
    assert window.runs == INFERENCES and window.faults == [] and window.interrupts == 0
    assert loaded.cycles() == kaniwa.estimate(spotting[0]).cycles


def test_image_on_the_device_is_what_a_session_loads(loaded, window, spotting):
    for address, data in spotting[0].images:
        offset = loaded.device.memory_offset + address
        assert window.read_bytes(offset, len(data)) == data


def test_interrupt_in_place_of_polling(loaded, window, recordings):
    """``wait`` is called between looks; the handler takes the interrupt away."""
    window.interrupt = loaded.acknowledge
    waits = []
    loaded.device.wait = WAIT(lambda device: waits.append(device))
    assert infer(loaded, recordings[:1])[0] == Result.OK
    assert window.interrupts == 1
    assert waits == [ctypes.addressof(loaded.device)] * window.looks
    assert window.read32(4 * BusRegister.IRQ_ENABLE) == 0
    assert window.read32(4 * BusRegister.IRQ_STATUS) == 0


@pytest.mark.parametrize("register, value, result", [
    (Register.MAGIC, 0, Result.NO_CORE),
    (Register.MAGIC, 0xFFFF_FFFF, Result.NO_CORE),
    (BusRegister.BUS_VERSION, BUS_VERSION + 1, Result.OTHER_BUS)])
def test_window_of_something_else_is_told(spotting, window, register, value, result):
    window.set(register, value)
    assert CDriver(spotting[1], window).call("kaniwa_open") == result


@pytest.mark.parametrize("register, value, result", [
    (Register.VERSION, ISA_VERSION + 1, Result.OTHER_VERSION),
    (Register.CONFIG_HASH_LOW, 1, Result.OTHER_CONFIG),
    (Register.CONFIG_HASH_HIGH, 1, Result.OTHER_CONFIG)])
def test_device_of_another_kind_is_told(driver, window, recordings, register, value, result):
    window.set(register, value)
    assert driver.call("model_load") == result
    assert infer(driver, recordings[:1])[0] == Result.NOT_LOADED
    assert window.runs == 0


@pytest.mark.parametrize("register, value", [
    (Register.MEMORY_BYTES, 1024), (BusRegister.MEMORY_OFFSET, 0)])
def test_too_little_memory_is_told(spotting, window, register, value):
    window.set(register, value)
    driver = CDriver(spotting[1], window)
    assert driver.call("kaniwa_open") == Result.OK
    assert driver.call("model_load") == Result.MEMORY


def test_run_without_progress_is_ended_by_the_watchdog(loaded, window, recordings):
    """The model has to be loaded again, and then the answers are right."""
    window.hangs = True
    assert infer(loaded, recordings[:1])[0] == Result.WATCHDOG_BITE
    assert (loaded.device.error_code, loaded.device.error_instruction) == (ErrorCode.WATCHDOG, 2)
    window.hangs = False
    assert infer(loaded, recordings[:1])[0] == Result.NOT_LOADED
    assert loaded.call("model_load") == infer(loaded, recordings[:1])[0] == Result.OK


def test_run_without_an_end_is_given_up(loaded, window, recordings):
    window.hangs = True
    loaded.device.watchdog, loaded.device.limit = 0, 50
    assert infer(loaded, recordings[:1])[0] == Result.NO_END
    assert not window.running     # it was aborted


def test_core_that_does_not_even_abort(spotting, window):
    driver = CDriver(spotting[1], window)
    driver.device.limit = 50
    window.set(Register.STATUS, Status.RUNNING)
    window.write_register = lambda index, value: None
    assert driver.call("kaniwa_open") == Result.NO_END


def test_error_of_a_run_names_code_and_instruction(loaded, window, recordings):
    """The second instruction in device memory is replaced with one that there is not."""
    window.write8(loaded.device.memory_offset + 128, 0x0F)
    assert infer(loaded, recordings[:1])[0] == Result.RUN_ERROR
    assert loaded.device.error_code in (ErrorCode.ILLEGAL_OPCODE, ErrorCode.ILLEGAL_FIELD)
    assert loaded.device.error_instruction == 1


def test_run_of_an_earlier_program_is_ended_by_open(spotting, window):
    window.hangs = True
    window.write32(4 * Register.CONTROL, Command.RUN)
    assert window.running
    assert CDriver(spotting[1], window).call("kaniwa_open") == Result.OK
    assert not window.running


def test_bus_error_of_an_earlier_run_is_forgotten(loaded, window, recordings):
    window.set(BusRegister.BUS_ERROR, BusError.HELD)
    assert infer(loaded, recordings[:1])[0] == Result.OK


def test_abort_needs_the_model_again(loaded, recordings):
    assert loaded.call("kaniwa_abort") == Result.OK
    assert infer(loaded, recordings[:1])[0] == Result.NOT_LOADED


def test_every_result_and_error_has_its_text(driver):
    """Texts are as many as results, and each is its own."""
    for function, numbers in (("kaniwa_text", Result), ("kaniwa_error_text", ErrorCode)):
        texts = [driver.text(function, number) for number in numbers]
        assert len(set(texts)) == len(texts) and not any(t.startswith("unknown r") for t in texts)
        assert driver.text(function, len(numbers)).startswith("unknown ")


class Caches:
    """Memory as the CPU sees it, behind a cache that nobody writes back but the driver."""

    def __init__(self, driver, ram):
        self.seen = (ctypes.c_uint8 * len(ram))()
        self._functions = [MAINTAIN(self._clean), MAINTAIN(self._invalidate)]
        self._ram, self._first = ram, ctypes.addressof(self.seen)
        driver.use_outside(self.seen, RAM_BASE)
        driver.device.clean, driver.device.invalidate = self._functions

    def _clean(self, device, start, count):
        at = start - self._first
        self._ram[at:at + count] = bytes(self.seen[at:at + count])

    def _invalidate(self, device, start, count):
        at = start - self._first
        self.seen[at:at + count] = self._ram[at:at + count]


@pytest.fixture(scope="module")
def outside(models, tmp_path_factory):
    """Keyword spotting with all of its data outside, on a target without memory on chip."""
    folder = tmp_path_factory.mktemp("outside")
    program = kaniwa.compile(models / "mlperf_kws_dscnn.tflite", outside="ideal",
                             target=without_memory(folder))
    assert program.local_bytes == 0 and program.outside_bytes <= RAM_BYTES
    return program, build(folder, [write_model(folder, program)])


def without_memory(folder):
    path = folder / "outside_only.toml"
    path.write_text('base = "base_vector"\nmemory_bytes = 0\n')
    return path


def test_outside_memory_is_maintained_in_the_caches(outside, recordings):
    program, library = outside
    ram = bytearray(RAM_BYTES)
    window = BusWindow(program.config, ram, RAM_BASE)
    driver = CDriver(library, window)
    caches = Caches(driver, ram)
    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    values = [recording[None] for recording in recordings[:3]]
    for value, wanted in zip(values, golden(program, values), strict=True):
        result, answer = infer(driver, value)
        assert result == Result.OK
        np.testing.assert_array_equal(answer, wanted)
    assert bytes(caches.seen) != bytes(ram)     # the CPU never saw what lies between


def test_refused_access_of_the_core_is_told_with_its_address(outside, recordings):
    """The bus has no memory where the driver says that there is some."""
    program, library = outside
    window = BusWindow(program.config, bytearray(RAM_BYTES), RAM_BASE + BASE_ALIGNMENT)
    driver = CDriver(library, window)
    memory = (ctypes.c_uint8 * RAM_BYTES)()
    driver.use_outside(memory, RAM_BASE)
    assert driver.call("kaniwa_open") == driver.call("model_load") == Result.OK
    assert infer(driver, recordings[:1])[0] == Result.BUS_ERROR_SEEN
    assert driver.device.bus_error & BusError.HELD
    assert driver.device.bus_error_address == OUTSIDE
    assert not window.running and window.read32(4 * BusRegister.BUS_ERROR) == 0


def test_outside_base_is_set_when_an_earlier_run_has_ended(outside):
    """In a run the window refuses it, and the CPU would take a fault."""
    program, library = outside
    window = BusWindow(program.config, bytearray(RAM_BYTES), RAM_BASE + BASE_ALIGNMENT)
    window.write32(4 * Register.CONTROL, Command.RUN)
    assert window.running
    driver = CDriver(library, window)
    memory = (ctypes.c_uint8 * RAM_BYTES)()
    driver.use_outside(memory, RAM_BASE)
    assert driver.call("kaniwa_open") == Result.OK and window.faults == []
    assert window.read32(4 * BusRegister.OUTSIDE_BASE_LOW) == RAM_BASE


@pytest.mark.parametrize("base, size", [(RAM_BASE + 16, RAM_BYTES), (RAM_BASE, 4096)])
def test_outside_memory_of_a_wrong_place_or_size_is_told(outside, base, size):
    program, library = outside
    driver = CDriver(library, BusWindow(program.config, bytearray(RAM_BYTES), base))
    memory = (ctypes.c_uint8 * size)()
    driver.use_outside(memory, base)
    results = [driver.call("kaniwa_open"), driver.call("model_load")]
    assert Result.NO_OUTSIDE in results


def test_model_with_outside_memory_is_refused_where_there_is_none(outside):
    program, library = outside
    driver = CDriver(library, BusWindow(program.config))
    assert driver.call("kaniwa_open") == Result.OK
    assert driver.call("model_load") == Result.NO_OUTSIDE


def test_numbers_of_the_header_are_those_of_the_tables():
    """Registers and bits, by their names in the enumerations."""
    text = driver_file("kaniwa.h").decode()
    found = {name: int(value, 0) for name, value in re.findall(
        r"^(?: +|#define )KANIWA_(\w+)(?: = | UINT32_C\()(\w+)", text, re.MULTILINE)}
    registers = {r.name: r.value for r in (*Register, *BusRegister, *SensorRegister)}
    registers |= {f"SENSOR_CONTROL_{c.name}": c.value for c in SensorControl}
    registers |= {f"SENSOR_EVENT_{e.name}": e.value for e in SensorEvent}
    wanted = registers | {
        "CONTROL_RUN": Command.RUN, "CONTROL_ABORT": Command.ABORT,
        "STATUS_RUNNING": Status.RUNNING, "STATUS_DONE": Status.DONE,
        "STATUS_ERROR": Status.ERROR, "IRQ_END": Interrupt.RUN_ENDED,
        "IRQ_BUS_ERROR": Interrupt.BUS_ERROR, "BUS_ERROR_HELD": BusError.HELD,
        "FEATURE_OUTSIDE": Feature.OUTSIDE, "MAGIC_VALUE": MAGIC,
        "BUS_VERSION_VALUE": BUS_VERSION, "OUTSIDE": OUTSIDE, "OK": Result.OK}
    assert len(found) >= 30
    assert {name: wanted[name] for name in found} == found
    assert f"ERROR_WATCHDOG UINT32_C({ErrorCode.WATCHDOG})" in driver_file("kaniwa.c").decode()
    assert f"OUTSIDE_ALIGNMENT UINT32_C({BASE_ALIGNMENT})" in driver_file("kaniwa.c").decode()
    assert f"SENSOR_VERSION UINT32_C({SENSOR_VERSION})" in driver_file("kaniwa.c").decode()
    assert f"SENSOR_OFFERING UINT32_C({1 << OFFERING:#x})" in driver_file("kaniwa.c").decode()


def test_results_of_the_header_are_those_that_the_tests_know():
    text = driver_file("kaniwa.h").decode()
    body = re.search(r"enum kaniwa_result \{(.*?)\};", text, re.DOTALL)[1]
    names = re.findall(r"^ +KANIWA_(\w+)", body, re.MULTILINE)
    assert names == [result.name for result in Result]


def test_ports_for_sensors_that_are_not_there_are_told(spotting, tmp_path):
    program = spotting[0]
    library = build(tmp_path, [write_model(tmp_path, program)], ["-DKANIWA_SENSOR"])
    window = BusWindow(program.config)
    driver = CDriver(library, window)
    assert driver.call("kaniwa_open") == Result.OK
    assert driver.call("model_sensor", None, SensorControl.RUN) == Result.NOT_LOADED
    assert driver.call("model_load") == Result.OK
    assert driver.call("model_sensor", None, SensorControl.RUN) == Result.NO_SENSOR
    assert driver.call("kaniwa_sensor_stop") == Result.NO_SENSOR
    assert window.faults == [] and window.runs == 0


@pytest.mark.parametrize("flags", [(), ("-DKANIWA_NO_TEXT", "-DKANIWA_FLOAT"),
                                   ("-DKANIWA_SENSOR",)])
def test_driver_compiles_as_c99_and_in_cpp(tmp_path, flags):
    compile_strictly(tmp_path, ["kaniwa.c"], flags)


@pytest.mark.skipif(RISCV is None, reason="no riscv64-unknown-elf-gcc on this machine")
def test_driver_is_small_on_rv32_and_needs_no_library(tmp_path):
    assert bytes_on_rv32(tmp_path, ["kaniwa.c"]) <= LARGEST
