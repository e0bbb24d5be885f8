"""Formulas as MathML, which browsers draw without a script or a network.

Converters of Markdown change what stands between dollars. So `mark` replaces formulas
by tokens that no converter changes, and `draw` replaces these in the finished page.
"""

import re

from latex2mathml.converter import convert

# code, in which a dollar is a dollar, or a formula
_PART = re.compile(
    r"(?s)(```.*?```|`[^`\n]*`)|\$\$(.+?)\$\$|(?<![\\$\w])\$(?!\s)([^$\n]+?)(?<![\s\\])\$"
)
_TOKEN = re.compile(r"xformula(block|inline)([0-9a-f]+)x")


def mark(text):
    """Replaces the formulas in Markdown by tokens."""

    def token(match):
        code, block, inline = match.groups()
        if code is not None:
            return code
        formula = " ".join((block or inline).split())
        return f"xformula{'block' if block else 'inline'}{formula.encode().hex()}x"

    return _PART.sub(token, text)


def draw(page):
    """Replaces the tokens in HTML by MathML."""
    return _TOKEN.sub(_mathml, page)


def _mathml(match):
    formula = bytes.fromhex(match[2]).decode()
    # what the converter does not know
    formula = formula.replace(r"\arg", r"\mathrm{arg}\,").replace(r"\_", "_")
    return convert(formula, display=match[1])
