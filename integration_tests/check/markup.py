"""Elements of HTML and SVG. What goes through here is escaped: a command may say `<script>`."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Any, Union

Child = Union[ET.Element, str, None, Iterable["Child"]]

# What XML has no way to write.
CONTROL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def node(tag: str, *children: Child, **attributes: Any) -> ET.Element:
    """`node("a", "more", class_="link", stroke_width=2)`; what is None is left out."""
    made = ET.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), printable(str(value)))
    add(made, children)
    return made


def add(parent: ET.Element, child: Child) -> None:
    """Puts an element, a text, or several of them at the end of another."""
    if child is None:
        return
    if isinstance(child, ET.Element):
        parent.append(child)
    elif not isinstance(child, str):
        for each in child:
            add(parent, each)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + printable(child)
    else:
        parent.text = (parent.text or "") + printable(child)


def printable(text: str) -> str:
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
