"""Mixed text for comparing tokenizers: scripts, code, emoji, digits, control characters, odd white space.

The same bytes for the same seed, here and in Tests/WinnowTextTests/MixedText.swift: change both or neither.
"""

MASK = (1 << 64) - 1

# First and last scalar of runs that words are drawn from; holes in them are wanted.
SCRIPTS = [
    (0x61, 0x7A), (0x41, 0x5A), (0xC0, 0x17F), (0x180, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x531, 0x587),
    (0x5B0, 0x5F4), (0x600, 0x6FF), (0x700, 0x74F), (0x900, 0x97F), (0x980, 0x9FF), (0xA80, 0xAFF), (0xB80, 0xBFF),
    (0xE00, 0xE5B), (0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137F),
    (0x13A0, 0x13FF), (0x1780, 0x17FF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF), (0x2C00, 0x2C5F), (0x3040, 0x309F),
    (0x30A0, 0x30FF), (0x4E00, 0x9FFF), (0xA000, 0xA48C), (0xAC00, 0xD7A3), (0xFB00, 0xFB4F), (0xFE70, 0xFEFC),
    (0xFF01, 0xFFEE), (0x10330, 0x1034A), (0x10400, 0x1044F), (0x1D400, 0x1D7FF), (0x1E900, 0x1E95F),
    (0x20000, 0x2A6DF), (0x30000, 0x3134A),
]
# Numbers, marks and symbols.
SIGNS = [
    (0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0xA1, 0xBF), (0x2B0, 0x36F), (0x660, 0x669),
    (0x966, 0x96F), (0x2010, 0x205F), (0x2070, 0x218B), (0x2190, 0x23FF), (0x2460, 0x24FF), (0x2500, 0x27BF),
    (0x3000, 0x303F), (0x3200, 0x33FF), (0xA830, 0xA839), (0x10100, 0x1018E), (0x12400, 0x1246E), (0x16A60, 0x16A69),
    (0x1D360, 0x1D378), (0x1F000, 0x1F2FF),
]
EMOJI = [(0x1F300, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F900, 0x1F9FF), (0x1FA70, 0x1FAFF), (0x2600, 0x26FF)]
JOINERS = [0x200D, 0xFE0F, 0x1F3FB, 0x1F3FF, 0x20E3, 0x1F1E9, 0x1F1EA]
SPACES = [
    0x20, 0x20, 0x20, 0x20, 0x0A, 0x0A, 0x09, 0x0D, 0x0B, 0x0C, 0x85, 0xA0, 0x1680, 0x2000, 0x2003, 0x2009, 0x200A,
    0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0x200B, 0xFEFF,
]
WORDS = [
    "the", "of", "and", "sparse", "model", "weights", "language", "don't", "it's", "we're", "they've", "I'm",
    "you'll", "he'd", "DON'T", "It'S", "o'clock", "'s", "'tis", "naïve", "Straße", "façade", "smørrebrød",
]
CODE = [
    "func ", "return ", "if (x == 0) {\n    ", "}\n\n", "for i in range(10):\n\t", "#include <stdio.h>\n", "=>",
    "!=", "::", "->", "//", "/* */", "</div>", "<a href=\"", "\\n", "0x1F", "1e-5", "$HOME", "@Test", "a[i][j]",
    "self.", "    ", "\r\n", "\t\t", "`code`", "```swift\n", "&amp;", "%d", "...", "---",
]
TOKENS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<|im_start", "<file_sep>", "<empty_output>"]


class Stream:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed & MASK

    def below(self, limit):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % limit

    def pick(self, values):
        return values[self.below(len(values))]

    def scalar(self, ranges):
        low, high = self.pick(ranges)
        return low + self.below(high - low + 1)


def mixed_text(seed, byte_count):
    """About byte_count bytes of valid UTF-8."""
    stream = Stream(seed)
    parts = []
    size = 0
    while size < byte_count:
        piece = one_piece(stream)
        size += len(piece.encode("utf-8"))
        parts.append(piece)
    return "".join(parts)


def one_piece(stream):
    kind = stream.below(16)
    if kind < 4:
        ranges = [stream.pick(SCRIPTS)]
        word = "".join(chr(stream.scalar(ranges)) for _ in range(1 + stream.below(12)))
        return word + (" " if stream.below(2) == 0 else "")
    if kind < 7:
        return " " * stream.below(2) + stream.pick(WORDS)
    if kind < 9:
        return stream.pick(CODE)
    if kind == 9:
        return "".join(chr(stream.pick(SPACES)) for _ in range(1 + stream.below(5)))
    if kind == 10:
        return "".join(chr(0x30 + stream.below(10)) for _ in range(1 + stream.below(9)))
    if kind == 11:
        return "".join(chr(stream.scalar(SIGNS)) for _ in range(1 + stream.below(5)))
    if kind == 12:
        emoji = ""
        for _ in range(1 + stream.below(4)):
            emoji += chr(stream.scalar(EMOJI))
            if stream.below(2) == 0:
                emoji += chr(stream.pick(JOINERS))
        return emoji
    if kind == 13:
        return chr(stream.below(32)) + chr(0x7F + stream.below(33))
    if kind == 14:
        if stream.below(8) > 0:
            return stream.pick(WORDS) + "".join(chr(0x300 + stream.below(0x70)) for _ in range(stream.below(4)))
        return stream.pick(TOKENS)
    value = stream.below(0x110000 - 0x800)
    return chr(value if value < 0xD800 else value + 0x800)


def broken_bytes(seed, byte_count):
    """Mixed text with bytes changed, dropped and put in: not UTF-8."""
    stream = Stream(seed)
    data = bytearray(mixed_text(seed, byte_count).encode("utf-8"))
    for _ in range(len(data) // 16):
        place = stream.below(len(data))
        kind = stream.below(3)
        if kind == 0:
            data[place] = stream.below(256)
        elif kind == 1:
            data[place] = 0x80 | stream.below(128)
        else:
            data[place:place + 1] = bytes([0xE0 | stream.below(32)])
    return bytes(data)
