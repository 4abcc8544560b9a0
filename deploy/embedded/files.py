"""Write files of the data directory atomically, so that a full disk creates no partial files."""

from __future__ import annotations

from pathlib import Path


def replace_if_changed(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, unless the file already contains it.

    Raises:
        OSError: the file could not be written and is unchanged.
    """
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except FileNotFoundError:
        pass
    staged = path.with_name(f"{path.name}.new")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)
