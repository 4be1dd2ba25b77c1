#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""The page for people, in a real browser and without one."""
import html.parser
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.parse

from harness import Federation, feature, run, until

CHROMIUM = shutil.which("chromium")


def browse(url, width=1200, height=900):
    """The page's DOM and a screenshot, as Chromium makes them."""
    with tempfile.TemporaryDirectory() as profile:
        picture = pathlib.Path(profile) / "page.png"
        common = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                  "--no-first-run", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync",
                  f"--user-data-dir={profile}/user", f"--window-size={width},{height}"]
        dom = subprocess.run([*common, "--dump-dom", url], capture_output=True, text=True,
                             timeout=120, check=True).stdout
        subprocess.run([*common, f"--screenshot={picture}", url], capture_output=True,
                       timeout=120, check=True)
        return dom, picture.read_bytes()


class Balanced(html.parser.HTMLParser):
    """Every element that is opened is closed, and ids are unique."""

    VOID = {"meta", "link", "input", "br", "hr", "img"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-3:])
        self.open.pop()


def checked(text):
    parser = Balanced()
    parser.feed(text)
    assert not parser.open, parser.open
    assert len(parser.ids) == len(set(parser.ids)), parser.ids
    assert "script" not in parser.tags
    levels = [int(tag[1]) for tag in parser.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1 and levels[0] == 1, levels  # who hears the page goes by these
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:])), levels
    return text


def follow_every_link(node):
    """From the API's page on, each address of this node that a page names must answer."""
    own = f"http://127.0.0.1:{node.http_port}"
    waiting, seen = ["/torg/v1/?f=html"], set()
    while waiting:
        target = waiting.pop()
        answer = node.get(target)
        assert answer.status == 200, (target, answer)
        if "html" not in answer.headers["Content-Type"]:
            continue
        for href in re.findall(r'href="([^"]+)"', answer.body.decode()):
            href = urllib.parse.urljoin(own + target, html.unescape(href)).split("#")[0]
            path = href[len(own):].split("?")[0]
            # One of each kind is enough of what differs in its query or its listing only.
            kind = (path if "/items/" not in path else "item", "f=html" in href)
            if href.startswith(own) and kind not in seen:
                seen.add(kind)
                waiting.append(href[len(own):])
    assert len(seen) > 30, seen


def test_every_resource_has_a_page():
    """Whoever clicks on a link of the API must land on something to read, and on nothing that runs."""
    evil = '<script>alert(1)</script>"\'><b onmouseover="x'
    with Federation() as federation:
        node = federation.found("Arjeplog", municipality="2506").start()
        item = node.publish("offers", feature(evil, 17.9, 66.05, url="https://example.org/?a=b&c",
                                              description={"sv": evil, "en": "Quiet"}))
        for i in range(30):
            node.publish("offers", feature(f"Rum {i}", 17.9, 66.05))
        document = node.api("/api")
        for path, operations in document["paths"].items():
            if "get" not in operations:
                continue
            path = "/torg/v1" + path.replace("{collectionId}", "offers").replace("{featureId}", item)
            pages = {}
            for lang in ("sv", "en"):
                query = {"q": "rum"} if path.endswith("/suggest") else {}
                answer = node.get(path, f="html", lang=lang, **query)
                assert answer.status == 200, (path, answer)
                assert answer.headers["Content-Type"] == "text/html; charset=utf-8", path
                assert "script-src" not in answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers.get_all("Content-Language") == [lang], (path, answer.headers)
                pages[lang] = checked(answer.body.decode())
                assert f'<html lang="{lang}">' in pages[lang]
            assert pages["sv"] != pages["en"], path
            headings = [re.search("<h1>(.+?)</h1>", page)[1] for page in pages.values()]
            named = path == "/torg/v1/" or path.endswith(item)  # by its operator, or by who wrote it
            assert named or headings[0] != headings[1], (path, headings)
            browser = node.get(path + ("?q=rum" if query else ""),
                               headers={"Accept": "text/html,*/*;q=0.8", "Accept-Language": "en-GB"})
            assert '<html lang="en">' in browser.body.decode(), path
        page = checked(node.get(f"/torg/v1/collections/offers/items/{item}", f="html").body.decode())
        assert "&lt;script&gt;" in page and 'href="https://example.org/?a=b&amp;c"' in page
        follow_every_link(node)
        # The pages lead through all listings.
        seen, target = 0, "/torg/v1/collections/offers/items?f=html"
        while target:
            page = checked(node.get(target).body.decode())
            seen += page.count('class="card"')
            more = re.search(r'<a rel="next" href="([^"]+)"', page)
            target = more and re.sub(r"^https?://[^/]+", "", more.group(1).replace("&amp;", "&"))
        assert seen == 31, seen
        # Each says where its JSON is, and the JSON where the page is.
        links = node.api("/collections/offers/items")["links"]
        html = [link for link in links if link["rel"] == "alternate" and "html" in link["type"]]
        assert len(html) == 1 and "f=html" in html[0]["href"], links
        node.stop()


def test_opening_hours_on_a_listing_s_page():
    """Whoever looks for when it is open must not have to read a recurrence rule."""
    with Federation() as federation:
        node = federation.found("A").start()
        hours = [{"days": "MO,TU,WE,TH,FR", "opens": "09:00", "closes": "17:00", "zone": "Europe/Stockholm"},
                 {"days": "FREQ=MONTHLY;BYDAY=1SA", "opens": "10:00", "closes": "14:00",
                  "zone": "Europe/Stockholm", "from": "2026-06-01", "through": "2026-08-31"}]
        shop = node.publish("service-points", feature(
            "Lanthandeln", openingHours=hours, crisis={"opening": {"sv": "Dygnet runt & <alltid>"}}))
        page = checked(node.get(f"/listing/{shop}").body.decode())
        assert "<dt>Öppettider</dt><dd>mån–fre 09:00–17:00<br>" \
            "första lördagen i månaden 10:00–14:00 (2026-06-01 – 2026-08-31)</dd>" in page, page
        assert "<dt>Vid en störning</dt><dd>Dygnet runt &amp; &lt;alltid&gt;</dd>" in page, page
        page = checked(node.get(f"/listing/{shop}", lang="en").body.decode())
        assert "<dt>Opening hours</dt><dd>Mon–Fri 09:00–17:00<br>" \
            "first Saturday of the month 10:00–14:00 (2026-06-01 – 2026-08-31)</dd>" in page, page
        plain = node.publish("offers", feature("Bastu"))
        assert "Öppettider" not in node.get(f"/listing/{plain}").body.decode()
        node.stop()


def test_search_by_place_theme_and_distance():
    assert CHROMIUM, "install chromium: tools/packages.txt"
    with Federation() as federation:
        node = federation.found("Umeå kommun", municipality="2480").start()
        node.publish("offers", feature("Bastuflotte", 20.00791, 63.68057, "bathing/sauna"))
        node.publish("offers", feature("Långt borta", 17.886, 66.052, "bathing/sauna"))
        front = node.get("/")
        assert front.status == 200 and front.headers["Content-Type"].startswith("text/html")
        assert "default-src 'none'" in front.headers["Content-Security-Policy"]
        text = checked(front.body.decode())
        fields = re.findall(r'<(?:input|select)[^>]*name="([^"]+)"', text)
        assert "place" in fields and "theme" in fields and "radius" in fields, fields
        odd = node.get("/", place="Sörmjöle", radius="12345").body.decode()
        assert '<option value="12345" selected>12 km</option>' in odd, odd
        assert odd.count(" selected>") == 1, odd
        found = node.get("/", place="Sörmjöle", theme="bathing", radius="30000")
        assert found.status == 200
        text = checked(found.body.decode())
        assert "Bastuflotte" in text and "Långt borta" not in text
        assert "Umeå kommun" in text
        link = re.search(r'href="(/[^"]*)"[^>]*>[^<]*Bastuflotte', text)
        assert link, text[:2000]
        one = node.get(link[1])
        assert one.status == 200 and "Bastuflotte" in checked(one.body.decode())
        wrong = node.get("/", theme="No Theme", radius="far")
        text = checked(wrong.body.decode())
        assert wrong.status == 400 and "<b>radius</b>: " in text and "<b>theme</b>: " in text, text
        dom, picture = browse(f"http://127.0.0.1:{node.http_port}/?place=S%C3%B6rmj%C3%B6le")
        assert "Bastuflotte" in dom
        assert picture[:8] == b"\x89PNG\r\n\x1a\n" and len(picture) > 10000


def test_what_companies_write_cannot_run():
    with Federation() as federation:
        node = federation.found("A").start()
        evil = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
        listing = node.publish("offers", feature(evil, description={"sv": evil}))
        for path in ("/?place=Ume%C3%A5", "/?place=%3Cscript%3E&q=%22%3E%3Cscript%3E", "/?%3Cscript%3E=1",
                     "/listing/" + listing):
            answer = node.get(path)
            text = answer.body.decode()
            if answer.status == 200:
                checked(text)
            assert "<script" not in text and "<img src=x" not in text, path


def test_page_is_honest_when_a_node_is_away():
    with Federation() as federation:
        a, b = federation.line("A-by", "B-by")
        a.start()
        b.start()
        a.publish("offers", feature("Från A", 20.2597, 63.8284))
        until("B has it", lambda: b.api("/search", q="från a")["numberMatched"] == 1)
        a.stop()
        text = b.get("/", place="Umeå", radius="30000").body.decode()
        assert "Från A" in text and "A-by" in text
        assert b.get("/", place="Finnsintebyn").status in (200, 404)


if __name__ == "__main__":
    run(test_every_resource_has_a_page, test_opening_hours_on_a_listing_s_page,
        test_search_by_place_theme_and_distance, test_what_companies_write_cannot_run,
        test_page_is_honest_when_a_node_is_away)
