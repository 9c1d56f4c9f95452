-- Accounts, their sessions, and entries that belong to an account and can be edited.
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,           -- as its owner writes it
    name_folded TEXT NOT NULL UNIQUE, -- by which it is found, and there is no second of
    password TEXT NOT NULL,       -- its hash, with salt and cost in it: $argon2id$...
    created_at INTEGER NOT NULL   -- milliseconds since the Unix epoch
);

CREATE TABLE sessions (
    digest TEXT PRIMARY KEY,      -- SHA-256 of the secret that the browser holds, in hexadecimal digits
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL   -- milliseconds since the Unix epoch
);
CREATE INDEX sessions_by_account ON sessions (account, expires_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Nothing for those who sign without an account.
ALTER TABLE entries ADD COLUMN owner INTEGER REFERENCES accounts (id);
-- Nothing for what was never edited.
ALTER TABLE entries ADD COLUMN edited_at INTEGER;

PRAGMA user_version = 2;
