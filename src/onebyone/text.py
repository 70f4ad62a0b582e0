"""Text that came out of a model, made safe to print."""

from __future__ import annotations

import unicodedata

# Control, format (bidirectional overrides, zero width), surrogate, private, line and paragraph
# separators: a terminal obeys some of them, and others hide or reorder what follows.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str, limit: int = 300) -> str:
    """One line without control characters: what could steer a terminal is written as an escape.

    Args:
        text: any string, for example a node's name out of an untrusted file.
        limit: longer text is cut in its middle, characters.
    """
    if len(text) > limit:
        keep = (limit - 3) // 2
        text = f"{text[:keep]}...{text[-keep:]}"
    if text.isprintable() and text.isascii():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _UNPRINTABLE else c
        for c in text
    )
