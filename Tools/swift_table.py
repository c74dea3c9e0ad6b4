"""Writes a table of numbers as a Swift file."""
import pathlib

import tokenizers

SOURCES = pathlib.Path(__file__).parent.parent / "Sources/WinnowText"


def write(file, tool, owner, comment, name, numbers):
    """One `static let` of `owner` in Sources/WinnowText/`file`, 108 columns wide."""
    lines, line = [], "       "
    for number in numbers:
        text = f" 0x{number:X},"
        if len(line) + len(text) > 108:
            lines.append(line)
            line = "       "
        line += text
    lines.append(line)
    (SOURCES / file).write_text(
        f"// Made by Tools/{tool} from tokenizers {tokenizers.__version__}; do not edit.\n\n"
        f"extension {owner} {{\n    /// {comment}\n    static let {name}: [UInt32] = [\n" + "\n".join(lines) + "\n    ]\n}\n")
