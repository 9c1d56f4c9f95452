// A guestbook from Node's standard library alone.
//
// wwwlab says in the environment where to listen (HOST, PORT) and where data is kept (DATABASE_FILE). The SQLite of
// Node comes with version 22, and Debian's is older; so entries are lines of JSON in a file beside the database.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const BODY_LONGEST = 64 * 1024; // bytes
const FILE = path.join(path.dirname(process.env.DATABASE_FILE), "example-node.jsonl");

const escape = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

function entries() {
  if (!fs.existsSync(FILE)) return [];
  const lines = fs.readFileSync(FILE, "utf8").split("\n").filter(Boolean);
  return lines.slice(-20).reverse().map((line) => JSON.parse(line));
}

function home() {
  const signed = entries().map(({ name, message }) => `<li><b>${escape(name)}</b>: ${escape(message)}</li>`);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Guestbook in Node</title>
<h1>Guestbook in Node ${process.version}</h1>
<form method="post" action="/sign"><label>Name <input name="name" required maxlength="80"></label>
<label>Message <input name="message" required maxlength="1000"></label> <button>Sign</button></form>
<ul>${signed.join("")}</ul>`;
}

function send(response, status, page, headers = {}) {
  const type = { "Content-Type": "text/html; charset=utf-8", "Content-Length": Buffer.byteLength(page) };
  response.writeHead(status, { ...type, ...headers });
  response.end(page);
}

async function form(request) {
  const pieces = [];
  let length = 0;
  for await (const piece of request) {
    length += piece.length;
    if (length > BODY_LONGEST) return null;
    pieces.push(piece);
  }
  return new URLSearchParams(Buffer.concat(pieces).toString("utf8"));
}

async function answer(request, response) {
  const route = `${request.method} ${request.url.split("?")[0]}`;
  if (route === "GET /") return send(response, 200, home());
  if (route !== "POST /sign") return send(response, 404, "<p>There is no such page.");
  const said = await form(request);
  if (said === null) return send(response, 413, "<p>A form of at most 64 kB, please.", { Connection: "close" });
  const [name, message] = ["name", "message"].map((key) => (said.get(key) ?? "").trim());
  if (!name || name.length > 80 || !message || message.length > 1000) {
    return send(response, 422, "<p>A name of 1 to 80 characters and a message of 1 to 1000, please.");
  }
  fs.appendFileSync(FILE, JSON.stringify({ name, message }) + "\n");
  send(response, 303, "", { Location: "/" });
}

const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) send(response, 500, "<p>Something went wrong; the log says what.");
  });
});
server.keepAliveTimeout = 90_000; // the web server closes first
process.on("SIGTERM", () => process.exit(0)); // `wwwlab stop app`
server.listen(Number(process.env.PORT), process.env.HOST, () => {
  console.log(`the guestbook listens at ${process.env.HOST}:${process.env.PORT}`);
});
