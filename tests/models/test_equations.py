"""docs/equations.md and the equation numbers in the code are the same."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NUMBERS = re.compile(r"((?:[A-Z]{3} )?)Eq\. (\d+(?:(?:, | and | to )\d+)*)")


def numbers(text):
    """{"18", "19"} of "Eq. 18, 19", {"VDM 59"} of "VDM Eq. 59"."""
    found = set()
    for paper, group in NUMBERS.findall(" ".join(text.split())):
        for part in re.split(r", | and ", group):
            first, _, last = part.partition(" to ")
            found.update(f"{paper}{number}" for number in range(int(first), int(last or first) + 1))
    return found


def of_file(path):
    """{(name, number)} of a file: of its functions and methods, classes' docstrings, and "" for its own."""
    source = path.read_text()
    lines, tree = source.splitlines(), ast.parse(source)
    found = {("", number) for number in numbers(ast.get_docstring(tree) or "")}

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                found.update((prefix + child.name, number) for number in numbers(ast.get_docstring(child) or ""))
                visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.FunctionDef):
                text = " ".join(
                    line.strip().removeprefix("# ") for line in lines[child.lineno - 1 : child.end_lineno]
                )
                found.update((prefix + child.name, number) for number in numbers(text))

    visit(tree, "")
    return found


def test_the_page_is_what_the_code_says():
    package = ROOT / "diffenc"
    in_code = {
        (path.relative_to(package).as_posix(), name, number)
        for path in package.rglob("*.py")
        for name, number in of_file(path)
    }
    on_page = set()
    rows = re.findall(
        r"^\| ((?:[A-Z]{3} )?)([\d, ]+) \| .* \| (`.*`) \|$", (ROOT / "docs/equations.md").read_text(), re.MULTILINE
    )
    for paper, which, where in rows:
        for place in where.split(", "):
            file, _, name = (part.strip("`") for part in place.partition(" "))
            on_page |= {(file, name, paper + number) for number in which.split(", ")}
    assert on_page == in_code
    diffenc = {int(number) for _, _, number in on_page if number.isdecimal()}
    assert diffenc == {*range(1, 21), *range(22, 31)}
