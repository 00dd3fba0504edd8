"""What the site's Markdown reads otherwise than a repository page or Sphinx does."""

import re


def on_page_content(html: str, **_: object) -> str:
    """Drop the backslash of a bar in code in a table, which repository pages need, and Sphinx roles before code."""
    return re.sub(r":(?:mod|func|meth|class):(?=<code>)", "", html.replace(r"\|", "|"))
