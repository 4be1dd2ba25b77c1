#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Make the tables that letters.c includes from the Unicode Character Database.

letters_make.py OUTPUT.h

Lower case of each letter of three ranges, and which letter with a mark a letter
and a combining mark make. Only scripts that have case: the others stay as they are.
"""
import sys
import unicodedata

RANGES = ((0x00C0, 0x024F), (0x0370, 0x052F), (0x1E00, 0x1EFF))
FINAL_SIGMA = {0x03C2: 0x03C3}


def lower(code):
    text = unicodedata.normalize("NFC", chr(code).lower())
    mapped = ord(text) if len(text) == 1 else code
    return FINAL_SIGMA.get(mapped, mapped)


def compositions():
    """Letter and mark, of letters that stay as they are in lower case."""
    for first, last in RANGES:
        for code in range(first, last + 1):
            parts = [int(part, 16) for part in unicodedata.decomposition(chr(code)).split(" ") if
                     part and not part.startswith("<")]
            if len(parts) == 2 and 0x0300 <= parts[1] <= 0x036F and lower(code) == code:
                yield parts[0], parts[1], code


def put_lines(lines, items, per_line):
    for at in range(0, len(items), per_line):
        lines.append("    " + " ".join(items[at:at + per_line]))


def main():
    lines = ["/* Made by protocol/letters_make.py; not to be edited. */"]
    for first, last in RANGES:
        lines.append(f"static const uint16_t lower_{first:04x}[] = {{")
        put_lines(lines, [f"0x{lower(code):04x}," for code in range(first, last + 1)], 12)
        lines.append("};")
    lines.append("static const struct letters_range letters_ranges[] = {")
    for first, last in RANGES:
        lines.append(f"    {{0x{first:04x}, 0x{last:04x}, lower_{first:04x}}},")
    lines.append("};")
    lines.append("static const struct letters_pair letters_pairs[] = {")
    pairs = [f"{{0x{a:04x}, 0x{b:04x}, 0x{c:04x}}}," for a, b, c in sorted(compositions())]
    put_lines(lines, pairs, 4)
    lines.append("};")
    with open(sys.argv[1], "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
