"""A guestbook in the manner of Flask, from Python's standard library alone.

wwwlab says in the environment where to listen (HOST, PORT) and where the database is (DATABASE_FILE; for libraries
that want a URL, DATABASE_URL). What is printed goes to the log: `wwwlab logs app -f`.
"""

import os
import signal
import sqlite3
import sys
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BODY_LONGEST = 64 * 1024  # bytes
ROUTES = {}


def route(method, path):
    """Has the function below answer `method` at `path`; it gets the form and returns status, headers, page."""

    def register(function):
        ROUTES[method, path] = function
        return function

    return register


def database():
    """A connection for one request; waits half a second for a lock, and then raises OperationalError."""
    connection = sqlite3.connect(os.environ["DATABASE_FILE"], timeout=0.5)
    connection.execute("CREATE TABLE IF NOT EXISTS example (id INTEGER PRIMARY KEY, name TEXT, message TEXT)")
    return connection


@route("GET", "/")
def home(_form):
    with database() as rows:
        entries = rows.execute("SELECT name, message FROM example ORDER BY id DESC LIMIT 20").fetchall()
    signed = "".join(f"<li><b>{escape(name)}</b>: {escape(message)}</li>" for name, message in entries)
    return 200, {}, f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Guestbook in Python</title>
<h1>Guestbook in Python {sys.version.split()[0]}</h1>
<form method="post" action="/sign"><label>Name <input name="name" required maxlength="80"></label>
<label>Message <input name="message" required maxlength="1000"></label> <button>Sign</button></form>
<ul>{signed}</ul>"""


@route("POST", "/sign")
def sign(form):
    name, message = (form.get(key, [""])[0].strip() for key in ("name", "message"))
    if not 1 <= len(name) <= 80 or not 1 <= len(message) <= 1000:
        return 422, {}, "<p>A name of 1 to 80 characters and a message of 1 to 1000, please."
    with database() as rows:
        rows.execute("INSERT INTO example (name, message) VALUES (?, ?)", (name, message))
    return 303, {"Location": "/"}, ""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    timeout = 90

    def do_GET(self):
        self.answer({})

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_LONGEST:
            self.close_connection = True
            return self.send(413, {}, "<p>A form with a Content-Length of at most 64 kB, please.")
        self.answer(parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace")))

    def answer(self, form):
        function = ROUTES.get((self.command, urlsplit(self.path).path))
        try:
            self.send(*(function(form) if function else (404, {}, "<p>There is no such page.")))
        except sqlite3.Error as error:
            print(f"the database: {error}", file=sys.stderr)
            self.send(503, {"Retry-After": "1"}, "<p>The database does not answer.")

    def send(self, status, headers, page):
        body = page.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "text/html; charset=utf-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # `wwwlab stop app`
address = os.environ["HOST"], int(os.environ["PORT"])
print(f"the guestbook listens at {address[0]}:{address[1]}")
ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer(address, Handler).serve_forever()
