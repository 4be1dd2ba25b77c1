#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""No error may lack a language: every text that an answer can say stands in daemon/http_texts_table.c.

    check_texts.py [ROOT]

Texts are made in English where the mistake is found, in three layers. This reads the sources for
them: what is handed to the functions below, what functions return as the reason of a fault, and the
tables that answers quote. Each must be an entry, both languages of an entry must have the same
placeholders, and an entry that no source says any more is refused, too.
"""
import glob
import os
import re
import sys

TABLE = 'daemon/http_texts_table.c'
SHAPES = 'Point, MultiPoint, LineString, MultiLineString, Polygon or MultiPolygon'
# Made of pieces: a place and what is wrong there, a list of choices, a list of formats.
BUILT = {'at character {}: {}', 'in {}: {}', '{} or {}', 'must be one of: {}'}
# What answers can say. Rows of an import are for the command, which speaks English.
ROWS = re.compile(r'daemon/admin_import.*')
SOURCES = [
    'daemon/http_*.c', 'daemon/admin*.c', 'daemon/writer_state.c',
    'protocol/cql2*.c', 'protocol/err.c', 'protocol/listing_check.c', 'protocol/listing_shape.c',
    'protocol/listing_geojson_geometry.c', 'protocol/listing_geojson_parse.c',
    'protocol/listing_value.c', 'index/filter*.c', 'index/shape_parse.c', 'index/shape_region.c',
]
PLAIN = re.compile(r'daemon/http_(api|texts|words|queryables|dcat).*')  # no errors are made there

# Function or macro -> the first and the last argument that is said (None: all that follow).
SAYS = {
    'http_reply_problem': (3, None), 'http_reply_problems': (3, 3), 'http_params_fail': (1, 1),
    'refuse_access': (1, 1), 'check_token': (1, 1), 'read_words': (5, 5), 'problems_add': (2, None),
    'FAULT': (1, None), 'LISTING_GEOJSON_FAULT': (1, None), 'cql2_fail': (1, None), 'fail': (1, 1),
    'fail_expected': (1, 1), 'check_each': (3, 3), 'wkt_fault': (1, 1), 'snprintf': (2, None),
}
RETURNS = {'protocol/cql2.c', 'protocol/err.c', 'protocol/listing_shape.c', 'protocol/listing_value.c',
           'index/shape_parse.c', 'daemon/writer_state.c'}
# Names, the same in all languages, and the beginnings of what is put together.
NAMES = {'casei', 'accenti', 'like', 'geometry', SHAPES, 'must be one of:'}
OPENINGS = re.compile(r'(must|needs|stands|names|belongs|seems to) ')

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[A-Za-z_]\w*|\d[\w.]*|\S',
                   re.S)
CONVERSION = re.compile(r'%(?:\.\*|\.\d+|\d+)?(?:l|ll|z|j)?[sducgfx]')
MACROS = {'LISTING_SHAPE_NAMES': SHAPES}


def tokens_of(text):
    return [t for t in TOKEN.findall(text) if not t.startswith(('/*', '//'))]


def unquote(token):
    return token[1:-1].encode().decode('unicode_escape').encode('latin-1').decode('utf-8', 'replace')


def literals(tokens):
    """The strings among tokens, those that stand side by side as one; what is no text in them as {}."""
    found, at = [], None
    for token in tokens + [';']:
        if token[0] == '"':
            at = (at or '') + unquote(token)
        elif token in MACROS:
            at = (at or '') + MACROS[token]
        elif at is not None and re.fullmatch(r'PRI\w+|[A-Z_]+_FORMAT', token):
            at += 'd'
        elif at is not None:
            found.append(at)
            at = None
    return found


def pattern_of(text, is_format):
    return CONVERSION.sub('{}', text).replace('%%', '%') if is_format else text


def arguments(tokens, at):
    """Of the call whose opening bracket stands at tokens[at]."""
    depth, found = 0, [[]]
    for token in tokens[at:]:
        if token in '([{':
            depth += 1
            if depth == 1:
                continue
        elif token in ')]}':
            depth -= 1
            if depth == 0:
                break
        if token == ',' and depth == 1:
            found.append([])
        else:
            found[-1].append(token)
    return found


def said_by_calls(path, tokens):
    for at, token in enumerate(tokens[:-1]):
        if token not in SAYS or tokens[at + 1] != '(' or tokens[at - 1] == 'define':
            continue
        if ROWS.match(path) and not token.startswith('http_reply'):
            continue
        first, last = SAYS[token]
        args = arguments(tokens, at + 1)
        if token == 'snprintf' and not re.search(r'why|fault', ' '.join(args[0])):
            continue
        for number, argument in enumerate(args):
            if number < first or (last is not None and number > last):
                continue
            for text in literals(argument):
                yield pattern_of(text, number == first or '%' in text)


def said_by_returns(path, tokens):
    for at, token in enumerate(tokens):
        if token != 'return' or path not in RETURNS:
            continue
        end = tokens.index(';', at)
        if not any(t in SAYS for t in tokens[at:end]):
            yield from literals(tokens[at + 1:end])


def said_by_tables(path, source, tokens):
    """What stands in tables, and in constants that are returned."""
    if path == 'protocol/err.c':
        yield from (unquote(t) for t in re.findall(r'\] = ("[^"]*")', source) if t != '"ok"')
    if path == 'daemon/http_reply.c':
        yield from (unquote(t) for t in re.findall(r'\{[45]\d\d, ("[^"]*")\}', source))
        ways = re.search(r'\} ways\[\] = \{(.*?)\n    \};', source, re.S)
        yield from literals(tokens_of(ways.group(1)))
    for text in literals(tokens):
        if OPENINGS.match(text) and not ROWS.match(path):
            yield pattern_of(text, True)


def meanings(root):
    """Schemas, and errors about a property that is missing, say what it means."""
    source = open(os.path.join(root, 'protocol/listing.c'), encoding='utf-8').read()
    for meaning in re.findall(r'\.meaning = ((?:"[^"]*"\s*)+)', source):
        yield ''.join(unquote(t) for t in re.findall(r'"[^"]*"', meaning))


def said(root):
    """Each text that must have an entry, with its file, and all strings of the sources."""
    must, all_strings = {}, set()
    for path in sorted(p for glob_ in SOURCES for p in glob.glob(os.path.join(root, glob_))):
        name = os.path.relpath(path, root)
        if PLAIN.match(name):
            continue
        source = open(path, encoding='utf-8').read()
        tokens = tokens_of(source)
        all_strings.update(pattern_of(t, f) for t in literals(tokens) for f in (True, False))
        for text in (*said_by_calls(name, tokens), *said_by_returns(name, tokens),
                     *said_by_tables(name, source, tokens)):
            bare = text.replace('{}', '')
            if len(re.findall(r'[a-z]', bare)) > 1 and bare not in NAMES:
                must.setdefault(text, name)
    for text in meanings(root):
        must.setdefault(text, 'protocol/listing.c')
    return must, all_strings | set(must)


def entries(root):
    """English and Swedish of the table, as it has them."""
    strings = [[]]
    for token in tokens_of(open(os.path.join(root, TABLE), encoding='utf-8').read()):
        if token == '{':
            strings.append([])
        elif token == ',' and strings[-1] and strings[-1][-1]:
            strings[-1].append('')
        elif token == '}' and strings[-1]:
            yield strings[-1][0], ''.join(strings[-1][1:])
            strings.append([])
        elif token[0] == '"':
            strings[-1] = strings[-1] or ['']
            strings[-1][-1] += unquote(token)


def faults(root):
    must, all_strings = said(root)
    seen = set()
    for english, swedish in entries(root):
        plain = english.replace('{*}', '{}')
        if not swedish:
            yield f'{TABLE}: no Swedish: {english}'
        if re.findall(r'\{\*?\}', english) != re.findall(r'\{\*?\}', swedish):
            yield f'{TABLE}: other placeholders in Swedish: {english}'
        if plain in seen:
            yield f'{TABLE}: stands twice: {english}'
        if plain not in all_strings and plain not in BUILT:
            yield f'{TABLE}: nothing says this any more: {english}'
        seen.add(plain)
    for text, name in sorted(must.items(), key=lambda item: item[::-1]):
        if text not in seen:
            yield f'{name}: has no entry in {TABLE}: {text}'


def main():
    found = list(faults(sys.argv[1] if len(sys.argv) > 1 else '.'))
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
