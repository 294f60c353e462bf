"""Names in C for names of models, which may have any text."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["HEADERS", "PREFIXED", "comment_text", "identifier", "unique"]

LONGEST = 40     # characters; C99 tells 63 of a name apart, and macros put more around it
KEYWORDS = frozenset("""
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while asm typeof near far
    alignas alignof bool catch class constexpr delete explicit export false friend mutable
    namespace new noexcept not nullptr operator or and xor private protected public template this
    throw true try typeid typename using virtual bitand bitor compl
    and_eq or_eq xor_eq not_eq static_assert decltype thread_local constinit consteval concept
    requires char8_t char16_t char32_t co_await co_return co_yield reinterpret_cast static_cast
    dynamic_cast const_cast
""".split())
# Macros and types that headers and compilers define.
TAKEN = frozenset("""
    errno stdin stdout stderr unix linux i386 assert offsetof size_t ptrdiff_t wchar_t
    int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t intptr_t uintptr_t
""".split())
# Headers of C and of the driver, which one of a model would be taken for.
HEADERS = frozenset("""
    assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign
    stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar
    wchar wctype kaniwa kaniwa_link
""".split())
PREFIXED = ("model", "load", "run", "reset", "sensor")    # of a model, behind its own name
DRIVER = "kaniwa_"     # what the driver's functions and types begin with
OURS = frozenset({"device", "result", "kaniwa"})


def identifier(text: str, otherwise: str = "tensor") -> str:
    """``text`` as a name in C of lower case; ``otherwise`` where nothing of it can be used."""
    name = re.sub("_+", "_", re.sub("[^a-z0-9]", "_", text.lower())).strip("_")[:LONGEST]
    name = name.rstrip("_") or otherwise
    if name.startswith(DRIVER):
        name = f"{otherwise}_{name}"
    if name[0].isdigit():
        name = f"{otherwise}_{name}"
    return f"{name}_" if name in KEYWORDS | TAKEN | OURS else name


def unique(texts: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """A name in C of each of ``texts``, all of them different, and from those ``taken``."""
    taken = frozenset(taken)
    names: list[str] = []
    for text in texts:
        name, number = identifier(text), 2
        wanted = name
        while name in names or name in taken:
            name, number = f"{wanted}_{number}", number + 1
        names.append(name)
    return names


def comment_text(text: str) -> str:
    """``text`` in letters that a comment may have."""
    return re.sub(r"[^A-Za-z0-9 _.:()-]", "_", text)
