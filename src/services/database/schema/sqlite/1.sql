-- The guestbook. AUTOINCREMENT, so that the number of a deleted entry is never another entry's.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    message TEXT NOT NULL,
    written_at INTEGER NOT NULL -- milliseconds since the Unix epoch
);

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);
INSERT INTO counters (name, value) VALUES ('home', 0);

PRAGMA user_version = 1;
