-- The tables of schema 2, as SQLite has them: numbers are 64 bits wide, texts are any that the application lets pass.
-- There was no schema 1 with this engine. Texts are compared by their code points, spaces at the end included (COLLATION
-- is such a one of the server's). A statement may find that it was done before: here none can be taken back.
CREATE TABLE IF NOT EXISTS accounts (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,
    name TEXT NOT NULL,                        -- as its owner writes it
    name_folded VARCHAR(700) NOT NULL UNIQUE,  -- by which it is found, and there is no second of
    password TEXT NOT NULL,                    -- its hash, with salt and cost in it: $argon2id$...
    created_at BIGINT NOT NULL                 -- milliseconds since the Unix epoch
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE COLLATION;

CREATE TABLE IF NOT EXISTS entries (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,      -- the number of a deleted entry is never another entry's
    name MEDIUMTEXT NOT NULL,
    message MEDIUMTEXT NOT NULL,               -- TEXT would end one byte short of the longest
    written_at BIGINT NOT NULL,                -- milliseconds since the Unix epoch
    owner BIGINT,                              -- nothing for those who sign without an account
    edited_at BIGINT,                          -- nothing for what was never edited
    FOREIGN KEY (owner) REFERENCES accounts (id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE COLLATION;

CREATE TABLE IF NOT EXISTS counters (
    name VARCHAR(100) PRIMARY KEY,
    value BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE COLLATION;
INSERT IGNORE INTO counters (name, value) VALUES ('home', 0);

CREATE TABLE IF NOT EXISTS sessions (
    digest VARCHAR(100) PRIMARY KEY,           -- SHA-256 of the secret that the browser holds, in hexadecimal digits
    account BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,                -- milliseconds since the Unix epoch
    INDEX sessions_by_account (account, expires_at),
    INDEX sessions_by_expiry (expires_at),
    FOREIGN KEY (account) REFERENCES accounts (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE COLLATION;
