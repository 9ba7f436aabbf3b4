"""The repository's text files, and which characters of each are code, string or prose.

Used by `ci/words` and `ci/structure`. The scanners know as much of each language as these two need.
"""

import functools
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
CODE, STRING, PROSE = "c", "s", "p"
CONTEXTS = {"code": CODE, "string": STRING, "prose": PROSE}

C_LIKE = r"(?P<p>//[^\n]*|/\*.*?\*/)"
DOUBLE = r'"(?:\\.|[^"\\])*"'
SINGLE = r"'(?:\\.|[^'\\\n])*'"
HASH = r"(?P<p>(?:^|(?<=\s))\#[^\n]*)"
# What begins a comment or a string in each language; all else is code.
PATTERNS = {
    "rust": rf'{C_LIKE}|(?P<s>b?r(?P<h>\#*)".*?"(?P=h)|b?{DOUBLE}|b?\'(?:\\[^\']+|\\\'|[^\'\\\n])\')',
    "js": rf"{C_LIKE}|(?P<s>{DOUBLE}|{SINGLE}|`(?:\\.|[^`\\])*`)",
    "css": rf"(?P<p>/\*.*?\*/)|(?P<s>{DOUBLE})",
    "python": rf'(?P<p>\#[^\n]*|"""\w.*?""")|(?P<s>"""\W.*?"""|{DOUBLE}|{SINGLE})',
    "hash": rf"{HASH}|(?P<s>{DOUBLE}|{SINGLE})",
    "lua": rf"(?P<p>--[^\n]*)|(?P<s>{DOUBLE}|{SINGLE})",
    "json": rf"(?P<c>{DOUBLE}(?=\s*:))|(?P<s>{DOUBLE})",
    "c": rf"{C_LIKE}|(?P<s>{DOUBLE}|{SINGLE})",
}
SCANNERS = {name: re.compile(pattern, re.S | re.M) for name, pattern in PATTERNS.items()}
MARKDOWN_CODE = re.compile(r"^```.*?^```|``[^\n]*?``|`[^`]*`", re.S | re.M)
TAG = re.compile(r"<[^>]*>", re.S)
INTERPOLATION = re.compile(r"\$\{([^{}]*)\}")
SUFFIXES = {
    ".rs": "rust",
    ".js": "js",
    ".css": "css",
    ".py": "python",
    ".lua": "lua",
    ".json": "json",
    ".c": "c",
    ".md": "markdown",
    ".html": "html",
    ".svg": "html",
}
OPAQUE = {".png", ".lock", ".bin", ".snap", ".csv"}


def language(path, text):
    """Returns the language of a file by its suffix or its first line."""
    suffix = pathlib.PurePath(path).suffix
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    return "python" if text.startswith("#!") and "python" in text.split("\n", 1)[0] else "hash"


def contexts(path, text):
    """Returns one letter for each character of a text: c for code, s for string, p for prose."""
    kind = language(path, text)
    if kind in ("markdown", "html"):
        marks = [PROSE if kind == "markdown" else STRING] * len(text)
        for match in (MARKDOWN_CODE if kind == "markdown" else TAG).finditer(text):
            marks[match.start() : match.end()] = CODE * len(match[0])
        return "".join(marks)
    marks = [CODE] * len(text)
    for match in SCANNERS[kind].finditer(text):
        mark = next(name for name, value in match.groupdict().items() if name != "h" and value is not None)
        marks[match.start() : match.end()] = mark * len(match[0])
        if match[0].startswith("`") and kind == "js":
            for inner in INTERPOLATION.finditer(match[0]):
                start = match.start() + inner.start(1)
                marks[start : start + len(inner[1])] = CODE * len(inner[1])
    return "".join(marks)


@functools.cache
def files(root=ROOT):
    """Returns the paths of tracked text files, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True
    )
    paths = [path for path in listed.stdout.splitlines() if pathlib.PurePath(path).suffix not in OPAQUE]
    return [path for path in paths if (root / path).is_file() and not path.startswith("LICENSE")]


def blanked(path, text, keep=CODE):
    """Returns a text with everything but code replaced by spaces, line breaks kept."""
    marks = contexts(path, text)
    return "".join(char if mark in keep or char == "\n" else " " for char, mark in zip(text, marks, strict=True))


def line_of(text, offset):
    """Returns the number of the line that holds an offset, counted from one."""
    return text.count("\n", 0, offset) + 1
