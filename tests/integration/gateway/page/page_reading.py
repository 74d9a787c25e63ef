# SPDX-License-Identifier: Apache-2.0
"""A page as a browser takes it apart: its elements with their attributes, its forms, and its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "input", "br", "img", "option", "rect", "line", "polyline", "path", "polygon"})


@dataclass
class Form:
    """A form: where it goes, and the fields that it would send as they stand."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class Page(HTMLParser):
    """One page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.forms: list[Form] = []
        self._texts: list[str] = []
        self._select = ""
        self._is_in_form = False
        self.feed(text)
        self.close()

    @property
    def text(self) -> str:
        """All that can be read, with single blanks."""
        return " ".join(" ".join(self._texts).split())

    def form(self, action_end: str) -> Form:
        """The form whose action, without its query, ends so."""
        found = [form for form in self.forms if form.action.partition("?")[0].endswith(action_end)]
        assert len(found) == 1, [form.action for form in self.forms]
        return found[0]

    def links(self) -> list[str]:
        """Where its links lead."""
        return [attributes.get("href", "") for tag, attributes in self.elements if tag == "a"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element, and what it is of a form."""
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag == "form":
            self.forms.append(Form(attributes["action"], attributes.get("method", "get")))
            self._is_in_form = True
        elif self._is_in_form:
            self._note_field(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        """Note the end of a form."""
        if tag == "form":
            self._is_in_form = False

    def handle_data(self, data: str) -> None:
        """Note text."""
        self._texts.append(data)

    def _note_field(self, tag: str, attributes: dict[str, str]) -> None:
        fields = self.forms[-1].fields
        if tag == "select":
            self._select = attributes["name"]
        elif tag == "option" and "selected" in attributes:
            fields[self._select] = attributes.get("value", "")
        elif tag == "input" and (attributes.get("type") != "radio" or "checked" in attributes):
            fields[attributes["name"]] = attributes.get("value", "")
