"""A page as its elements, a table of it as columns; and small studies' pages."""

from html.parser import HTMLParser

import made_up
from made_up_page import SOURCE, Made

VOID = {"meta", "link", "img", "br", "input"}
CELLS = {"td", "th", "dt", "dd", "br"}


class Parsed(HTMLParser):
    """A page's elements in order: (tag, attributes, the text within)."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.stack = [], []
        self.feed(page)
        self.close()
        assert not self.stack, "every element is closed"

    def handle_starttag(self, tag, attrs):
        if tag in CELLS:
            self.handle_data(" ")
        self.elements.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self.stack.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.stack.pop()[0] == tag, "elements are nested"

    def handle_data(self, data):
        for element in self.stack:
            element[2] += data

    def all(self, tag, **wanted):
        """The elements of that tag whose attributes are these; `class` by one of its words."""
        kind = wanted.pop("kind", None)
        return [
            (attrs, " ".join(text.split()))
            for name, attrs, text in self.elements
            if name == tag
            and all(attrs.get(key) == value for key, value in wanted.items())
            and (kind is None or kind in attrs.get("class", "").split())
        ]

    def text(self, tag, **wanted):
        return [text for _, text in self.all(tag, **wanted)]


def small(tmp_path, **changes):
    """A study of one data set without tables or figures; `changes` replace lines of its file."""
    source = SOURCE
    for line, other in changes.values():
        assert line in source
        source = source.replace(line, other)
    return Made(tmp_path, source).results()


def totals(made, dataset, model, schedule="fixed"):
    runs = [run for run in made.study.all_runs if run[:3] == (dataset, model, schedule)]
    return [made_up.evaluation(run)["bpd"]["total"]["mean"] for run in runs]


def cells(page, name):
    """{header: column} of a table of the page."""
    section = page[page.index(f'id="table-{name}"') :]
    parsed = Parsed(section[section.index("<table") : section.index("</table>") + len("</table>")])
    heads, texts = parsed.text("th"), parsed.text("td")
    return {head: texts[j :: len(heads)] for j, head in enumerate(heads)}
