"""Files of the data directory that a full disk must not leave half written."""

from __future__ import annotations

from pathlib import Path


def replace_if_changed(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as a whole or not at all; a file that has it already is left alone.

    Raises:
        OSError: it could not be written; what was there before is there still.
    """
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except FileNotFoundError:
        pass
    staged = path.with_name(f"{path.name}.new")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
