"""What a study may have: as JSON Schema, for editors, or as Markdown, for people."""

import json
from argparse import Namespace

from diffenc.cli.options import Parsers, add_command


def schema(options: Namespace) -> None:
    """The settings -> what config/study.schema.json is, or the tables of config/README.md."""
    from diffenc.study.schema import json_schema, markdown

    print(markdown() if options.markdown else json.dumps(json_schema(), indent=2))


def add_commands(parsers: Parsers) -> None:
    """Add this module's command to the command line."""
    one = add_command(parsers, "schema", schema, "Print the keys of a study as JSON Schema, which editors read.")
    one.add_argument("--markdown", action="store_true", help="as the tables of config/README.md")
