FLUSH PRIVILEGES;
CREATE DATABASE foobar;
CREATE USER foobar@localhost;
GRANT ALL ON foobar.* TO foobar@localhost;
USE foobar;
CREATE TABLE entries (id INT PRIMARY KEY AUTO_INCREMENT, name TEXT NOT NULL, message TEXT NOT NULL, written_at BIGINT NOT NULL, owner BIGINT, edited_at BIGINT);
CREATE TABLE counters (name VARCHAR(64) PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO counters (name, value) VALUES ('home', 0);
