//! Entries as directives and records (RFC 1035 §5.1, RFC 2308 §4 for `$TTL`).
//!
//! Each problem ends its entry only; the next one is read as if nothing had been.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::generate::{self, Generate};
use super::lexer::{Fault, Lexer, Word};
use super::records::{Entry, Records, name_at};
use super::rule::Rule;
use super::source::{Place, Problem, Severity};
use super::{DEEPEST_INCLUDE, FILES_MOST, GENERATED_MOST, LARGEST_FILE, data};
use crate::dns::name::Name;
use crate::dns::types::{Class, RecordType};

/// Reads the file at `path`, whose first origin is `origin`. A file that cannot be read is a problem as well.
pub fn read(path: &Path, origin: &Name) -> Records {
    let mut reader = Reader::new();
    match read_file(path) {
        Ok(text) => reader.file(path.to_owned(), text, origin.clone()),
        Err(why) => {
            // It takes part even so: when it appears, it is read.
            reader.records.sources.add(path.to_owned(), Arc::default());
            reader.records.report_file(Problem::of_file(path, Severity::Error, Rule::File, why));
        }
    }
    reader.records
}

/// Reads `text` as if it were the file at `path`.
pub fn read_text(path: &Path, text: &[u8], origin: &Name) -> Records {
    let mut reader = Reader::new();
    reader.file(path.to_owned(), text.to_owned(), origin.clone());
    reader.records
}

struct Reader {
    records: Records,
    /// The files that are open, outermost first, to refuse loops.
    open: Vec<PathBuf>,
    owner: Option<u32>,
    default_ttl: Option<u32>,
    last_ttl: Option<u32>,
    soa_minimum: Option<u32>,
    generated: u32,
    /// What is odd in the entry that is being read.
    odd: Vec<Fault>,
}

impl Reader {
    fn new() -> Self {
        Self {
            records: Records::default(),
            open: Vec::new(),
            owner: None,
            default_ttl: None,
            last_ttl: None,
            soa_minimum: None,
            generated: 0,
            odd: Vec::new(),
        }
    }

    fn file(&mut self, path: PathBuf, text: Vec<u8>, origin: Name) {
        let text = Arc::new(text);
        let Some(source) = self.records.sources.add(path.clone(), text.clone()) else {
            let problem =
                Problem::of_file(&path, Severity::Error, Rule::Limit, "too many files are included");
            self.records.report_file(problem);
            return;
        };
        self.open.push(path);
        let mut scope = Scope { source, origin, generated_at: None };
        let mut lexer = Lexer::new(&text);
        let mut words = Vec::new();
        loop {
            let fault = match lexer.next_entry(&mut words) {
                Ok(None) => break,
                Ok(Some(blank)) => self.entry(&mut scope, &words, blank).err(),
                Err(fault) => Some(fault),
            };
            let last = fault.as_ref().is_some_and(|fault| fault.last);
            for odd in std::mem::take(&mut self.odd).into_iter().chain(fault) {
                let Fault { at, message, rule, severity, .. } = odd;
                self.records.report(place(source, at), severity, rule, |_| message);
            }
            if last {
                break;
            }
        }
        self.open.pop();
    }

    fn entry(&mut self, scope: &mut Scope, words: &[Word<'_>], blank: bool) -> Result<(), Fault> {
        match words {
            [first, rest @ ..] if !blank && !first.quoted && first.text.starts_with(b"$") => {
                self.directive(scope, first, rest)
            }
            _ => self.record(scope, words, blank),
        }
    }

    fn directive(&mut self, scope: &mut Scope, word: &Word<'_>, rest: &[Word<'_>]) -> Result<(), Fault> {
        let is = |name: &[u8]| word.text.eq_ignore_ascii_case(name);
        if is(b"$ORIGIN") {
            let [origin] = rest else {
                return Err(Fault::new(word.at, "$ORIGIN wants one name: `$ORIGIN foobar.com.`"));
            };
            scope.origin = data::name(origin, &scope.origin, &mut self.odd)?;
        } else if is(b"$TTL") {
            let [ttl] = rest else {
                return Err(Fault::new(word.at, "$TTL wants one time: `$TTL 1h`"));
            };
            self.default_ttl = Some(data::seconds(ttl.text).ok_or_else(|| {
                Fault::new(ttl.at, "no time: write seconds, or units as in `1h30m`, up to 2147483647 seconds")
            })?);
        } else if is(b"$INCLUDE") {
            self.include(scope, word, rest)?;
        } else if is(b"$GENERATE") {
            self.generate(scope, word, rest)?;
        } else {
            return Err(Fault::new(
                word.at,
                format!(
                    "`{}` is no directive: there are $ORIGIN, $TTL, $INCLUDE and $GENERATE",
                    String::from_utf8_lossy(word.text)
                ),
            )
            .of(Rule::Directive));
        }
        Ok(())
    }

    fn include(&mut self, scope: &Scope, word: &Word<'_>, rest: &[Word<'_>]) -> Result<(), Fault> {
        let (file, origin) = match rest {
            [file] => (file, scope.origin.clone()),
            [file, origin] => (file, data::name(origin, &scope.origin, &mut self.odd)?),
            _ => {
                return Err(Fault::new(
                    word.at,
                    "$INCLUDE wants a file and, if you like, an origin: `$INCLUDE hosts.zone`",
                ));
            }
        };
        if self.open.len() > DEEPEST_INCLUDE {
            return Err(Fault::new(word.at, format!("$INCLUDE nests deeper than {DEEPEST_INCLUDE} files")));
        }
        if self.records.sources.paths().count() >= FILES_MOST {
            return Err(Fault::last(
                word.at,
                format!("more than {FILES_MOST} files take part: $INCLUDE fewer"),
            )
            .of(Rule::Limit));
        }
        let name = String::from_utf8_lossy(file.text).into_owned();
        let path = match self.open.last().and_then(|open| open.parent()) {
            Some(folder) => folder.join(&name),
            None => PathBuf::from(&name),
        };
        let same = |open: &PathBuf| *open == path || open.canonicalize().ok() == path.canonicalize().ok();
        if path.exists() && self.open.iter().any(same) {
            return Err(Fault::new(
                file.at,
                format!("`{name}` is being read already: it includes itself in a circle"),
            ));
        }
        match read_file(&path) {
            Ok(text) => {
                // What the included file names last does not leak out (RFC 1035 §5.1).
                let owner = self.owner;
                self.file(path, text, origin);
                self.owner = owner;
                Ok(())
            }
            Err(why) => {
                self.records.sources.add(path, Arc::default());
                Err(Fault::new(file.at, format!("`{name}`: {why}")).of(Rule::File))
            }
        }
    }

    /// One line for many records: each is read as if it were written out, and stands where the directive does.
    fn generate(&mut self, scope: &mut Scope, word: &Word<'_>, rest: &[Word<'_>]) -> Result<(), Fault> {
        let generate = Generate::read(word, rest)?;
        self.generated = self.generated.saturating_add(generate.count());
        if self.generated > GENERATED_MOST {
            return Err(Fault::new(
                word.at,
                format!("more than {GENERATED_MOST} records by $GENERATE: take a smaller range"),
            )
            .of(Rule::Limit));
        }
        let mut line = Vec::new();
        scope.generated_at = Some(word.at);
        let done = generate.values().try_for_each(|value| {
            generate.write(value, &mut line)?;
            let mut words = Vec::new();
            let read = match Lexer::new(&line).next_entry(&mut words) {
                Ok(_) => self.record(scope, &words, false),
                Err(fault) => Err(fault),
            };
            // Places in the line that was made are none in the file.
            self.odd.iter_mut().for_each(|odd| odd.at = word.at);
            read.map_err(|fault| generate::of_value(fault, word.at, value))
        });
        scope.generated_at = None;
        done
    }

    fn record(&mut self, scope: &Scope, words: &[Word<'_>], blank: bool) -> Result<(), Fault> {
        let Some(first) = words.first() else {
            return Ok(());
        };
        self.record_from(scope, first, words, blank).map_err(|fault| {
            // A name may begin so; a line that cannot be read and does is another language's comment.
            if blank || !(first.text.starts_with(b"#") || first.text.starts_with(b"//")) {
                return fault;
            }
            let shown = String::from_utf8_lossy(first.text);
            Fault::new(first.at, format!("`{shown}` begins no comment here: a comment begins with `;`"))
        })
    }

    fn record_from(
        &mut self,
        scope: &Scope,
        first: &Word<'_>,
        words: &[Word<'_>],
        blank: bool,
    ) -> Result<(), Fault> {
        let end = words.last().map_or(first.at, |word| word.at + word.text.len());
        let mut rest = words;
        if !blank {
            rest = &words[1..];
            // An owner that cannot be read must not lend its records to the one before.
            self.owner = None;
            let owner = data::name(first, &scope.origin, &mut self.odd)?;
            self.own(&owner)?;
        }
        let Some(owner) = self.owner else {
            return Err(Fault::new(
                first.at,
                "a line that begins with a blank continues the owner above, but there is none: write the owner first",
            ));
        };
        let (mut ttl, mut class) = (None, None);
        let record_type = loop {
            let Some((word, after)) = rest.split_first() else {
                return Err(Fault::new(
                    end,
                    "no record type: write OWNER TTL TYPE DATA, e.g. `www 300 A 127.0.0.1`",
                ));
            };
            rest = after;
            if ttl.is_none() && word.text.first().is_some_and(u8::is_ascii_digit) {
                ttl = Some(data::seconds(word.text).ok_or_else(|| no_type(word, blank))?);
            } else if class.is_none()
                && let Some(found) = Class::from_word(word.text)
            {
                if found != Class::IN {
                    return Err(Fault::new(word.at, "only the class IN is served: write IN, or nothing"));
                }
                class = Some(found);
            } else if let Some(found) = RecordType::from_word(word.text).filter(|_| !word.quoted) {
                if found.is_meta() {
                    return Err(Fault::new(
                        word.at,
                        format!("{found} is no type for a zone: it stands only in questions and messages"),
                    ));
                }
                break found;
            } else {
                return Err(no_type(word, blank));
            }
        };
        let data = self.arena_end(end)?;
        self.records.arena.extend_from_slice(&[0, 0]);
        let start = self.records.arena.len();
        let compiled =
            data::compile(record_type, rest, end, &scope.origin, &mut self.records.arena, &mut self.odd);
        if let Err(fault) = compiled {
            self.records.arena.truncate(start - 2);
            return Err(fault);
        }
        let length = u16::try_from(self.records.arena.len() - start).unwrap_or(u16::MAX);
        self.records.arena[start - 2..start].copy_from_slice(&length.to_be_bytes());
        if record_type == RecordType::SOA {
            let minimum = self.records.arena.last_chunk().copied().map(u32::from_be_bytes);
            self.soa_minimum = self.soa_minimum.or(minimum);
        }
        let ttl = self.ttl(ttl).ok_or_else(|| {
            Fault::new(first.at, "no TTL: write `$TTL 1h` at the top of the file, or a time before the type")
        })?;
        self.records.entries.push(Entry {
            record_type,
            ttl,
            place: place(scope.source, scope.generated_at.unwrap_or(first.at)),
            owner,
            data,
        });
        Ok(())
    }

    /// Makes `name` the owner of what follows; the same name again costs nothing.
    fn own(&mut self, name: &Name) -> Result<(), Fault> {
        if let Some(last) = self.records.entries.last()
            && name_at(&self.records.arena, last.owner) == name.as_wire()
        {
            self.owner = Some(last.owner);
            return Ok(());
        }
        self.owner = Some(self.arena_end(0)?);
        self.records.arena.extend_from_slice(name.as_wire());
        Ok(())
    }

    fn arena_end(&self, at: usize) -> Result<u32, Fault> {
        u32::try_from(self.records.arena.len())
            .map_err(|_| Fault::last(at, "the zone is larger than 4 GiB: split it").of(Rule::Limit))
    }

    /// RFC 2308 §4, then RFC 1035 §5.1, then the SOA's minimum as RFC 1034 had it.
    fn ttl(&mut self, written: Option<u32>) -> Option<u32> {
        if written.is_some() {
            self.last_ttl = written;
        }
        written.or(self.default_ttl).or(self.last_ttl).or(self.soa_minimum)
    }
}

struct Scope {
    source: u16,
    origin: Name,
    /// Where the $GENERATE stands whose records are being made.
    generated_at: Option<usize>,
}

fn place(source: u16, at: usize) -> Place {
    Place { source, at: u32::try_from(at).unwrap_or(u32::MAX) }
}

/// What is wrong with `word`, which stands where a TTL, a class or a type should.
fn no_type(word: &Word<'_>, blank: bool) -> Fault {
    let shown = String::from_utf8_lossy(word.text);
    let digits = word.text.strip_prefix(b"-").or(word.text.strip_prefix(b"+")).unwrap_or(word.text);
    if digits.first().is_some_and(u8::is_ascii_digit) {
        let hint = "a TTL is 0 to 2147483647 seconds, e.g. 300 or 1h30m";
        return Fault::new(word.at, format!("`{shown}` is no TTL, class or type: {hint}"));
    }
    let hint = if blank {
        "this line begins with a blank, so it continues the owner above; an owner stands in the first column"
    } else {
        "write OWNER TTL TYPE DATA, e.g. `www 300 A 127.0.0.1`; an unknown type is written TYPE123"
    };
    Fault::new(word.at, format!("`{shown}` is no record type: {hint}"))
}

/// The file's bytes, or why not in words.
fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let read = || -> std::io::Result<Option<Vec<u8>>> {
        // Asked before it is opened: opening a named pipe waits for its writer.
        let about = std::fs::metadata(path)?;
        if !about.is_file() || about.len() > LARGEST_FILE {
            return Ok(None);
        }
        let mut text = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0));
        File::open(path)?.take(LARGEST_FILE).read_to_end(&mut text)?;
        Ok(Some(text))
    };
    match read() {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err("not a file of at most 1 GiB: name a zone file".into()),
        Err(why) => Err(format!("cannot be read ({why}): create it, or mend its name or its permissions")),
    }
}
