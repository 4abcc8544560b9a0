"""Read the fields of forms from pages, as a browser would send them."""

from __future__ import annotations

import re
from html import unescape


def fields_of(page: str) -> dict[str, str]:
    """The fields of the form of a page."""
    form = page[page.index('<form class="form') :]
    form = form[: form.index("</form>")]
    found = {}
    for each in re.findall(r"<input[^>]*>", form):
        name = re.search(r'name="([^"]+)"', each)
        value = re.search(r'value="([^"]*)"', each)
        if name and ('type="checkbox"' not in each or " checked" in each):
            found[unescape(name[1])] = unescape(value[1]) if value else ""
    for name, options in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        first = re.search(r'value="([^"]*)"', options)
        found[name] = unescape((chosen or first)[1]) if first else ""
    for name, text in re.findall(r'<textarea name="([^"]+)"[^>]*>([^<]*)</textarea>', form):
        found[unescape(name)] = unescape(text)
    return found


def faults_of(page: str) -> list[tuple[str, str]]:
    """The messages of a form that are shown, by the name of the field."""
    shown = re.findall(r'id="fault-([^"]*)"( [^>]*)?>([^<]*)<', page)
    return [(name, unescape(text)) for name, more, text in shown if "hidden" not in more and text]
