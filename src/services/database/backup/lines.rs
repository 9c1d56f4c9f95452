//! The file of a backup: lines of JSON. The first says what it is (the [`Manifest`]), the last is the SHA-256 of all
//! bytes before it, and each between them is one row: accounts, then counters, then entries, which may belong to accounts.
//!
//! Every byte of the file counts: what the digest does not cover is the last line, which is the digest. It shows damage,
//! not malice: whoever can write the file can write another digest.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{BackupError, Doing, Progress};
use crate::services::database::schema;

/// The number of this form of a backup.
pub(super) const FORM: u32 = 1;

/// Length of a line at most, its end included, in bytes: the longest message (64 KiB) with each character escaped is a
/// tenth of it.
const LINE_LONGEST: usize = 4 << 20;

/// Greatest number of a row: JSON's numbers are exact so far, in whatever program reads them (RFC 8259 §6).
const NUMBER_GREATEST: i64 = 1 << 53;

/// Counters at most. There is one, and others only if somebody made them by hand.
pub(super) const COUNTERS_MOST: u64 = 256;

/// Rows between two tellings of how far it is.
const TOLD_EVERY: u64 = 256;

/// The first line of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The number of the form that it has; 1.
    pub wwwlab_backup: u32,
    /// When it was made, in UTC: `2026-11-21T19:15:00.123Z`.
    pub made_at: String,
    /// Of which engine: `SQLite 3.50.4`, `MariaDB 10.11.14`.
    pub engine: String,
    /// The number of the schema.
    pub schema: i64,
    /// Rows of each table.
    pub rows: Counts,
    /// The last number that each table gave, be its row there or deleted.
    pub last_numbers: LastNumbers,
}

/// Rows of each table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Of those who can log in.
    pub accounts: u64,
    /// Of what is counted: the visits.
    pub counters: u64,
    /// Of what was signed.
    pub entries: u64,
}

impl Counts {
    /// Rows in all.
    pub fn all(&self) -> u64 {
        self.accounts.saturating_add(self.counters).saturating_add(self.entries)
    }
}

/// The last number that each table gave: it gives no number twice, not even a deleted row's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastNumbers {
    /// To an account.
    pub accounts: i64,
    /// To an entry.
    pub entries: i64,
}

/// A line that is not the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// The last one.
    Sha256(String),
    #[serde(untagged)]
    Row(Row),
}

/// One row, as the tables have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Row {
    Account {
        id: i64,
        name: String,
        name_folded: String,
        password: String,
        created_at: i64,
    },
    Counter {
        name: String,
        value: i64,
    },
    Entry {
        id: i64,
        name: String,
        message: String,
        written_at: i64,
        edited_at: Option<i64>,
        owner: Option<i64>,
    },
}

impl Row {
    /// What errors call it.
    fn name(&self) -> String {
        match self {
            Self::Account { id, .. } => format!("account {id}"),
            Self::Counter { .. } => "a counter".into(),
            Self::Entry { id, .. } => format!("entry {id}"),
        }
    }

    /// Whether its numbers are within bounds: of what is beyond them, one engine or the other would make something else.
    fn is_in_bounds(&self) -> bool {
        let numbers = match self {
            Self::Account { id, .. } => [Some(*id), None],
            // The visits must go on, whatever they were set to.
            Self::Counter { value, .. } => {
                return (-NUMBER_GREATEST..=NUMBER_GREATEST).contains(value);
            }
            Self::Entry { id, owner, .. } => [Some(*id), *owner],
        };
        // 0 would be given another number by one of the engines.
        numbers.into_iter().flatten().all(|number| (1..=NUMBER_GREATEST).contains(&number))
    }
}

/// A backup that is being written.
#[derive(Debug)]
pub(super) struct Writing<'a, W> {
    out: W,
    file: &'a Path,
    digest: Sha256,
    bytes: u64,
    line: Vec<u8>,
}

impl<'a, W: Write> Writing<'a, W> {
    /// Writes to `out`, which errors call `file`.
    pub(super) fn new(out: W, file: &'a Path) -> Self {
        Self { out, file, digest: Sha256::new(), bytes: 0, line: Vec::new() }
    }

    /// Writes the first line.
    pub(super) fn manifest(&mut self, manifest: &Manifest) -> Result<(), BackupError> {
        self.line(manifest)
    }

    /// Writes a row.
    pub(super) fn row(&mut self, row: &Row) -> Result<(), BackupError> {
        // Better no backup than one that cannot be restored.
        if !row.is_in_bounds() {
            return Err(BackupError::OutOfBounds { row: row.name(), greatest: NUMBER_GREATEST });
        }
        self.line(row)?;
        let most = LINE_LONGEST;
        if self.line.len() > most { Err(BackupError::TooLong { row: row.name(), most }) } else { Ok(()) }
    }

    /// Writes the last line; returns what was written to, the digest, and how many bytes that were in all.
    pub(super) fn seal(mut self) -> Result<(W, String, u64), BackupError> {
        let sha256 = HEXLOWER.encode(&self.digest.clone().finalize());
        self.line(&Line::Sha256(sha256.clone()))?;
        Ok((self.out, sha256, self.bytes))
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), BackupError> {
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, line).map_err(io::Error::from);
        self.line.push(b'\n');
        self.digest.update(&self.line);
        self.bytes += self.line.len() as u64;
        let written = written.and_then(|()| self.out.write_all(&self.line));
        written.map_err(|source| BackupError::Unwritable { file: self.file.to_owned(), source })
    }
}

/// A backup that is being read, whose first line was.
#[derive(Debug)]
pub(super) struct Reading {
    from: BufReader<File>,
    file: PathBuf,
    digest: Sha256,
    line: Vec<u8>,
    /// Lines so far.
    number: u64,
    manifest: Manifest,
    found: Counts,
}

impl Reading {
    /// Reads the first line of `file`.
    pub(super) fn open(file: &Path) -> Result<Self, BackupError> {
        let unreadable = |source| BackupError::Unreadable { file: file.to_owned(), source };
        // Not after opening: to open a pipe waits for who writes to it.
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(BackupError::Foreign { file: file.to_owned() });
        }
        Self::of(File::open(file).map_err(unreadable)?, file.to_owned())
    }

    /// The same file from its beginning.
    pub(super) fn again(self) -> Result<Self, BackupError> {
        let mut open = self.from.into_inner();
        match open.rewind() {
            Ok(()) => Self::of(open, self.file),
            Err(source) => Err(BackupError::Unreadable { file: self.file, source }),
        }
    }

    fn of(open: File, file: PathBuf) -> Result<Self, BackupError> {
        /// What every form of a backup says of itself.
        #[derive(Deserialize)]
        struct Announced {
            wwwlab_backup: u32,
            schema: i64,
        }
        let nothing = Manifest {
            wwwlab_backup: FORM,
            made_at: String::new(),
            engine: String::new(),
            schema: schema::NEWEST,
            rows: Counts::default(),
            last_numbers: LastNumbers::default(),
        };
        let mut reading = Self {
            from: BufReader::new(open),
            file,
            digest: Sha256::new(),
            line: Vec::new(),
            number: 0,
            manifest: nothing,
            found: Counts::default(),
        };
        let foreign = |file: &Path| BackupError::Foreign { file: file.to_owned() };
        reading.read_line()?;
        let announced: Announced =
            serde_json::from_slice(&reading.line).map_err(|_| foreign(&reading.file))?;
        for (what, found, known) in [
            ("form", i64::from(announced.wwwlab_backup), i64::from(FORM)),
            ("schema", announced.schema, schema::NEWEST),
        ] {
            if found > known {
                return Err(BackupError::Newer { file: reading.file, what, found, known });
            }
            // The first was 1, and a database without a schema has nothing to back up.
            if found < 1 {
                return Err(foreign(&reading.file));
            }
        }
        let manifest = serde_json::from_slice(&reading.line);
        reading.manifest =
            manifest.map_err(|_| reading.damaged("the first line is not as it was written"))?;
        let LastNumbers { accounts, entries } = reading.manifest.last_numbers;
        if [accounts, entries].iter().any(|last| !(0..=NUMBER_GREATEST).contains(last)) {
            return Err(reading.damaged("a last number is out of bounds"));
        }
        reading.digest.update(&reading.line);
        Ok(reading)
    }

    /// What the first line says.
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What errors call it.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The next row; nothing after the last, and only if the digest, the number of rows and the end are right.
    pub(super) fn next(&mut self) -> Result<Option<Row>, BackupError> {
        self.read_line()?;
        let line = serde_json::from_slice(&self.line).map_err(|_| self.damaged("it has no row here"))?;
        match line {
            Line::Row(row) => {
                self.digest.update(&self.line);
                self.count(&row)?;
                Ok(Some(row))
            }
            Line::Sha256(sha256) => {
                // It has one spelling, so that each byte of it counts too.
                let right =
                    format!("{{\"sha256\":\"{}\"}}\n", HEXLOWER.encode(&self.digest.clone().finalize()));
                if self.line != right.as_bytes() || sha256.is_empty() {
                    return Err(self.damaged("its SHA-256 is another one"));
                }
                if self.found != self.manifest.rows {
                    return Err(self.damaged("it has not the rows that it says"));
                }
                match self.from.fill_buf() {
                    Ok([]) => Ok(None),
                    Ok(_) => Err(self.damaged("something follows its end")),
                    Err(source) => Err(BackupError::Unreadable { file: self.file.clone(), source }),
                }
            }
        }
    }

    /// Tells how far it is, now and then.
    pub(super) fn tell(&self, doing: Doing, told: &mut dyn FnMut(Progress)) {
        let (done, all) = (self.found.all(), self.manifest.rows.all());
        if done % TOLD_EVERY == 0 || done == all {
            told(Progress { doing, done, all });
        }
    }

    fn count(&mut self, row: &Row) -> Result<(), BackupError> {
        *match row {
            Row::Account { .. } => &mut self.found.accounts,
            Row::Counter { .. } => &mut self.found.counters,
            Row::Entry { .. } => &mut self.found.entries,
        } += 1;
        if self.found.counters > COUNTERS_MOST {
            Err(self.damaged("it has more counters than there can be"))
        } else if row.is_in_bounds() {
            Ok(())
        } else {
            Err(self.damaged("a number of a row is out of bounds"))
        }
    }

    /// Reads the next line into `line`, its end included.
    fn read_line(&mut self) -> Result<(), BackupError> {
        self.line.clear();
        let most = LINE_LONGEST as u64 + 1;
        let read = self.from.by_ref().take(most).read_until(b'\n', &mut self.line);
        self.number += 1;
        match read {
            Err(source) => Err(BackupError::Unreadable { file: self.file.clone(), source }),
            Ok(_) if self.line.len() > LINE_LONGEST && self.number > 1 => {
                Err(self.damaged("a line is too long"))
            }
            Ok(_) if self.line.len() > LINE_LONGEST => Err(BackupError::Foreign { file: self.file.clone() }),
            Ok(_) if !self.line.ends_with(b"\n") && self.number > 1 => Err(self.damaged("it ends too early")),
            Ok(_) => Ok(()),
        }
    }

    fn damaged(&self, why: &'static str) -> BackupError {
        BackupError::Damaged { file: self.file.clone(), line: self.number, why }
    }
}
