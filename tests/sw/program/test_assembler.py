"""Program files and their text are the same thing."""

import random

import pytest

from kaniwa.compiler.pipeline import compile
from kaniwa.errors import ProgramError
from kaniwa.program.assembler import assemble, disassemble
from kaniwa.program.file import from_bytes, to_bytes
from kaniwa.program.program import Program

MODEL = "mlperf_kws_dscnn.tflite"


@pytest.fixture(scope="module")
def program(models):
    return compile(models / MODEL, target="base")


@pytest.fixture(scope="module")
def text(program):
    return disassemble(program)


@pytest.mark.parametrize("model, target, options", [
    (MODEL, "base", {}), (MODEL, "nano", {}),
    ("mlperf_ic_resnet8.tflite", "small", {"materialize": True, "outside": "sdram"}),
    ("mlperf_ad_fc_ae.tflite", "xl", {"outside": "ideal"}),
    ("tflm_mnist_lstm.tflite", "base_recurrent", {})])
def test_text_gives_the_same_bytes(models, model, target, options):
    program = compile(models / model, target=target, **options)
    assert assemble(disassemble(program)) == to_bytes(program)


def test_text_of_a_file_equals_text_of_the_program(program, text):
    assert disassemble(from_bytes(to_bytes(program))) == text


def test_text_is_readable(text):
    assert "    LAYER\n" in text and "    END\n" in text
    assert "mode=COLUMN" in text and "rounding=DOUBLE" in text
    code = [line for line in text.splitlines() if line.startswith("     ") and "=" in line]
    assert max(map(len, code)) < 250


def test_layout_of_the_text_does_not_matter(program, text):
    lines = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith("        ") and "=" in line:
            lines += [f"\t{word}" for word in reversed(words)]
        else:
            lines += [line, "", "# comment"]
    assert assemble("\r\n".join(lines)) == to_bytes(program)


def test_changed_field_changes_the_instruction(program, text):
    changed = from_bytes(assemble(text.replace("act_min=-128", "act_min=-0x7f", 1)))
    assert changed.instructions[0] == program.instructions[0] | {"act_min": -127}
    assert changed.instructions[1:] == program.instructions[1:]


def test_instruction_with_reserved_bits_keeps_them(program, text):
    commands = bytearray(program.commands)
    commands[127] = 0x80
    images = tuple((address, bytes(commands) if address == program.program_address else data)
                   for address, data in program.images)
    odd = Program(**{name: getattr(program, name) for name in program.__dataclass_fields__}
                  | {"images": images})
    assert "RAW" in disassemble(odd)
    assert assemble(disassemble(odd)) == to_bytes(odd)


def replaced(text, old, new):
    """The text with its first ``old`` replaced, and the number of that line."""
    assert old in text
    return text.replace(old, new, 1), text[:text.index(old)].count("\n") + 1


@pytest.mark.parametrize("old, new, message", [
    ("program name", "programme name", "unknown statement 'programme'"),
    ("program name", "program title", "unknown field 'title' of the program"),
    ("config out_lanes", "config in_lanes", "unknown field 'in_lanes' of the config"),
    ("config out_lanes", "config dot_width 4\nconfig dot_width", None),
    ("LAYER", "LAYOUT", "unknown instruction 'LAYOUT': expected END, LAYER, VECTOR, CELL or RAW"),
    ("act_min=", "act_mim=", "unknown field 'act_mim'"),
    ("act_min=-128", "act_min=-129", "act_min of an instruction must be -128..127, not -129"),
    ("act_min=-128", "act_min=low", "act_min must be a number, not 'low'"),
    ("rounding=DOUBLE", "rounding=TWICE",
     "rounding must be a number or one of UP, DOUBLE, AWAY, EVEN, not 'TWICE'"),
    ("act_min=-128", "act_min=-128 act_min=1", "act_min is given twice"),
    ("    LAYER", "    RAW 00\n    LAYER", "an instruction has 128 bytes, not 1"),
    ("data 0x", "data at 0x", "expected 'data ADDRESS'"),
    ('"kind": "intermediate"', '"kind": intermediate', "not JSON: Expecting value"),
])
def test_error_names_line_and_reason(text, old, new, message):
    changed, line = replaced(text, old, new)
    with pytest.raises(ProgramError) as caught:
        assemble(changed)
    if message is not None:
        assert str(caught.value).startswith(f"line {line}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("old, new, message", [
    ("program weights", "# program weights", "the text lacks 'program weights'"),
    ("config out_lanes 8", "config out_lanes 65", "the config is not legal: out_lanes must be"),
    ("    END", "", "the runs do not have every instruction once"),
    ("LAYER", "LAYER ifm_wait=9", "waits for a later one"),
])
def test_text_that_does_not_fit_together_is_refused(text, old, new, message):
    with pytest.raises(ProgramError, match=message):
        assemble(replaced(text, old, new)[0])


def test_damaged_text_never_gives_another_error(text):
    rng = random.Random(1)
    short = "\n".join(line for line in text.splitlines() if len(line) < 60 or rng.random() < 0.05)
    for _ in range(150):
        damaged = list(short)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(damaged))
            damaged[place:place + rng.choice((0, 1, 30))] = rng.choice(
                ("", "x", "\n", " ", "{", "-1", "=", "[" * 100_000, "\u2028"))
        try:
            assemble("".join(damaged))
        except ProgramError as error:
            assert "\n" not in str(error)
