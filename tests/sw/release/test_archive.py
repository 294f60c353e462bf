"""Archives of releases: what is kept of them, and what cut or changed ones say."""

import dataclasses
import io
import json
import zipfile

import pytest

from kaniwa import cli
from kaniwa.boards.board import load_board
from kaniwa.boards.flow.program import find_bitstream
from kaniwa.config import PRESETS
from kaniwa.errors import DeviceError, InputError
from kaniwa.release import manifest
from kaniwa.release.archive import artifact, pack, read_manifest, unpack
from kaniwa.release.kept import kept_bitstream, kept_simulator, release_folder
from kaniwa.release.manifest import BITSTREAM, MANIFEST, SIMULATOR, Release, this_platform
from kaniwa.sim.device import simulated_core, verilate
from kaniwa.sim.device.verilate import sources_digest

BOARD = "icebreaker"
CONTENTS = {"simulators/nano.so": b"a shared object", "bitstreams/icebreaker-nano.bin": b"bits"}


def release(**values):
    sim, bits = CONTENTS
    nano = PRESETS["nano"].hash
    made = Release("1.2", sources_digest(), this_platform(), {"amaranth": "0.5"}, (
        artifact(sim, CONTENTS[sim], kind=SIMULATOR, target="nano", config=nano),
        artifact(bits, CONTENTS[bits], kind=BITSTREAM, target="nano", board=BOARD,
                 config=load_board(BOARD).config("nano").hash,
                 facts={"mhz": 22.5, "seed": 2})))
    return dataclasses.replace(made, **values)


@pytest.fixture
def archive(monkeypatch, tmp_path):
    monkeypatch.setenv("KANIWA_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "built.zip"
    path.write_bytes(pack(release(), CONTENTS))
    return path


def rewritten(path, name, change):
    """The archive with one of its files changed, or left out for None."""
    with zipfile.ZipFile(path) as archive:
        files = {one: archive.read(one) for one in archive.namelist()}
    files[name] = change(files[name])
    path.write_bytes(b"")
    with zipfile.ZipFile(path, "w") as archive:
        for one, data in files.items():
            if data is not None:
                archive.writestr(one, data)
    return path


def test_the_same_files_make_the_same_archive():
    assert pack(release(), CONTENTS) == pack(release(), CONTENTS)


def test_what_is_unpacked_is_found_and_nothing_is_built(archive, monkeypatch):
    nano = PRESETS["nano"]
    assert kept_simulator(nano.hash, sources_digest) is None
    assert unpack(archive) == release() == read_manifest(archive)
    found = kept_simulator(nano.hash, sources_digest)
    assert found.read_bytes() == CONTENTS["simulators/nano.so"]
    monkeypatch.setattr(verilate, "build_library", lambda *_, **__: pytest.fail("it is built"))
    assert verilate.core_library(nano) == found
    assert kept_simulator(PRESETS["small"].hash, sources_digest) is None
    assert kept_simulator(nano.hash, lambda: "0123") is None


def test_sources_are_not_read_where_nothing_was_unpacked(archive):
    assert kept_simulator(PRESETS["nano"].hash, lambda: pytest.fail("they are read")) is None


def test_a_board_takes_the_bitstream_of_a_release_where_none_was_built(archive, tmp_path):
    board = load_board(BOARD)
    with pytest.raises(DeviceError, match="no such bitstream; .* kaniwa unpack takes it from"):
        find_bitstream(board, None, tmp_path)
    unpack(archive)
    released = find_bitstream(board, None, tmp_path)
    assert released.read_bytes() == b"bits"
    assert kept_bitstream("ulx3s_85f", PRESETS["nano"].hash, sources_digest) is None
    built = tmp_path / "icebreaker-nano.bin"
    built.write_bytes(b"own")
    assert find_bitstream(board, None, tmp_path) == built


def test_the_digest_of_sources_does_not_hang_on_where_they_lie(monkeypatch):
    """A wheel has hw/ below sw/, a checkout beside it: the paths come in another order."""
    before, sources = sources_digest(), verilate.gateware_sources()
    monkeypatch.setattr(verilate, "gateware_sources", lambda: sources[::-1])
    assert sources_digest() == before
    monkeypatch.setattr(verilate, "gateware_sources", lambda: [*sources[1:], "another"])
    assert sources_digest() != before


def test_a_release_of_other_sources_is_kept_and_not_used(archive, capsys):
    archive.write_bytes(pack(release(sources="abc123"), CONTENTS))
    with pytest.raises(SystemExit):
        cli.main(["unpack", str(archive)])
    assert "made from other sources than this kaniwa has" in capsys.readouterr().out
    assert kept_simulator(PRESETS["nano"].hash, sources_digest) is None
    assert release_folder("abc123").is_dir()


@pytest.mark.parametrize(("libc", "runs"), [("2.36", True), ("2.30", True), ("2.40", False)])
def test_a_simulator_needs_a_c_library_that_is_not_older(monkeypatch, archive, libc, runs):
    monkeypatch.setattr(manifest.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(manifest.platform, "libc_ver", lambda: ("glibc", "2.36"))
    archive.write_bytes(pack(release(platform=f"linux-x86_64-glibc-{libc}"), CONTENTS))
    assert unpack(archive).runs_here == runs
    assert (kept_simulator(PRESETS["nano"].hash, sources_digest) is not None) == runs


def test_simulators_of_another_processor_are_told_and_not_used(archive, capsys):
    archive.write_bytes(pack(release(platform="linux-riscv64-glibc-2.0"), CONTENTS))
    with pytest.raises(SystemExit):
        cli.main(["unpack", str(archive)])
    assert "its simulators are for linux-riscv64-glibc-2.0, this is" in capsys.readouterr().out
    assert kept_simulator(PRESETS["nano"].hash, sources_digest) is None


@pytest.mark.parametrize(("harm", "message"), [
    (lambda path: path.unlink(), "no such file"),
    (lambda path: path.write_bytes(path.read_bytes()[:-40]), "no release, or cut off"),
    (lambda path: path.write_bytes(b"PK"), "no release, or cut off"),
    (lambda path: rewritten(path, MANIFEST, lambda data: None), f"it has no {MANIFEST}"),
    (lambda path: rewritten(path, MANIFEST, lambda data: data[:99]), "is none of a release"),
    (lambda path: rewritten(path, MANIFEST, lambda data: b"[]"), "is none of a release"),
    (lambda path: rewritten(path, MANIFEST, lambda data: data.replace(
        b'"format": 1', b'"format": 2')), "a release of format 2, this kaniwa reads 1"),
    (lambda path: rewritten(path, MANIFEST, lambda data: data.replace(
        b"simulators/nano.so", b"../../nano.so")), "is none of a release"),
    (lambda path: rewritten(path, "simulators/nano.so", lambda data: data[:-1]),
     "simulators/nano.so is not what the manifest says"),
    (lambda path: rewritten(path, "simulators/nano.so", lambda data: data[::-1]),
     "simulators/nano.so is not what the manifest says"),
    (lambda path: rewritten(path, "bitstreams/icebreaker-nano.bin", lambda data: None),
     "it has no bitstreams/icebreaker-nano.bin"),
])
def test_an_archive_that_is_cut_or_changed_is_one_line_and_keeps_nothing(archive, harm, message):
    harm(archive)
    with pytest.raises(InputError, match=message):
        unpack(archive)
    assert not release_folder(sources_digest()).exists()


def test_every_cut_of_an_archive_is_an_error_of_ours(archive):
    whole = archive.read_bytes()
    for length in range(0, len(whole), 7):
        archive.write_bytes(whole[:length])
        with pytest.raises(InputError):
            unpack(archive)


def test_damaged_bytes_are_found(archive):
    whole = bytearray(archive.read_bytes())
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        at = opened.getinfo("simulators/nano.so").header_offset + 50
    whole[at] ^= 0xFF
    archive.write_bytes(bytes(whole))
    with pytest.raises(InputError):
        unpack(archive)


def test_a_newer_release_takes_the_place_of_an_older_one(archive):
    unpack(archive)
    archive.write_bytes(pack(release(version="1.3", artifacts=()), {}))
    assert unpack(archive).version == "1.3"
    assert kept_simulator(PRESETS["nano"].hash, sources_digest) is None


def test_the_command_names_what_there_is_for_people_and_for_programs(archive, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["unpack", str(archive)])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert "icebreaker-nano.bin" in shown and "22.5" in shown and "kept in" in shown
    with pytest.raises(SystemExit):
        cli.main(["unpack", str(archive), "--json"])
    values = json.loads(capsys.readouterr().out)
    assert values["fits"] and values["runs_here"] and len(values["artifacts"]) == 2


def test_a_simulator_that_is_no_shared_object_is_one_line(archive):
    unpack(archive)
    with pytest.raises(DeviceError, match="nano.so"):
        simulated_core.SimDevice("nano")
