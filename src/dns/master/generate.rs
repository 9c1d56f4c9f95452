//! `$GENERATE START-STOP[/STEP] OWNER [TTL] [CLASS] TYPE DATA`: one line for many records, as BIND has it.
//!
//! In the owner and the data `$` is the number, `\$` and `$$` a dollar sign, and `${OFFSET,WIDTH,BASE}` the number
//! with an offset, filled up with zeros to a width, in base `d`, `o`, `x`, `X`, or as nibbles `n`, `N` (RFC 3596 §2.5).

use super::lexer::{Fault, Word};
use crate::dns::types::RecordType;

/// The widest number.
const WIDEST: usize = 255;

/// The directive, as written.
#[derive(Debug)]
pub(super) struct Generate<'t> {
    start: u32,
    stop: u32,
    step: u32,
    /// The owner, and what follows it.
    words: Vec<Word<'t>>,
}

impl<'t> Generate<'t> {
    /// Reads what stands behind `$GENERATE`, which is `word`.
    pub(super) fn read(word: &Word<'_>, rest: &[Word<'t>]) -> Result<Self, Fault> {
        let [range, words @ ..] = rest else {
            return Err(usage(word));
        };
        if words.len() < 3 {
            return Err(usage(word));
        }
        let (start, stop, step) = read_range(range.text).ok_or_else(|| {
            Fault::new(range.at, "no range: write `1-20`, or with a step `0-100/10`, the lower number first")
        })?;
        Ok(Self { start, stop, step, words: words.to_vec() })
    }

    /// How many records it makes.
    pub(super) fn count(&self) -> u32 {
        ((self.stop - self.start) / self.step).saturating_add(1)
    }

    /// The numbers that it counts through.
    pub(super) fn values(&self) -> impl Iterator<Item = u32> + use<> {
        let step = usize::try_from(self.step).unwrap_or(usize::MAX);
        (self.start..=self.stop).step_by(step)
    }

    /// Writes the line for `value` into `line`.
    pub(super) fn write(&self, value: u32, line: &mut Vec<u8>) -> Result<(), Fault> {
        line.clear();
        for (index, word) in self.words.iter().enumerate() {
            let quote: &[u8] = if word.quoted && !self.is_whole_data(index) { b"\"" } else { b"" };
            line.extend(quote);
            substitute(word, value, line)?;
            line.extend(quote);
            line.push(b' ');
        }
        Ok(())
    }

    /// As in BIND, data in one pair of quotes may be several words: `"10 mail$"`. But a text is a text.
    fn is_whole_data(&self, index: usize) -> bool {
        let before = index.checked_sub(1).and_then(|before| RecordType::from_word(self.words[before].text));
        index + 1 == self.words.len()
            && before.is_some_and(|before| !matches!(before, RecordType::TXT | RecordType::SPF))
    }
}

/// `fault` in the line for `value`, told of the directive at `at`.
pub(super) fn of_value(fault: Fault, at: usize, value: u32) -> Fault {
    Fault { at, message: format!("for {value}: {}", fault.message), ..fault }
}

fn usage(word: &Word<'_>) -> Fault {
    Fault::new(
        word.at,
        "$GENERATE wants a range, an owner, a type and data: `$GENERATE 1-20 host$ A 192.0.2.$`",
    )
}

fn read_range(text: &[u8]) -> Option<(u32, u32, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|&number| digits && number <= i32::MAX.unsigned_abs())
    };
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, number(step)?),
        None => (text, 1),
    };
    let (start, stop) = range.split_once('-')?;
    let (start, stop) = (number(start)?, number(stop)?);
    (start <= stop && step > 0).then_some((start, stop, step))
}

fn substitute(word: &Word<'_>, value: u32, line: &mut Vec<u8>) -> Result<(), Fault> {
    let mut rest = word.text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, rest) {
            (b'\\', [b'$', after @ ..]) | (b'$', [b'$', after @ ..]) => {
                line.extend(b"\\$");
                rest = after;
            }
            (b'\\', [next, after @ ..]) => {
                line.extend([b'\\', *next]);
                rest = after;
            }
            (b'$', [b'{', after @ ..]) => {
                let end = after.iter().position(|&byte| byte == b'}');
                let form = end.and_then(|end| Form::read(&after[..end]));
                let (Some(end), Some(form)) = (end, form) else {
                    let message =
                        "write `${OFFSET,WIDTH,BASE}`, e.g. `${0,3,d}`; bases are d, o, x, X, n and N";
                    return Err(Fault::new(word.at, message));
                };
                form.write(value, line).ok_or_else(|| {
                    Fault::new(
                        word.at,
                        format!("the offset makes {value} negative or too large: choose another"),
                    )
                })?;
                rest = &after[end + 1..];
            }
            (b'$', _) => line.extend(value.to_string().bytes()),
            _ => line.push(byte),
        }
    }
    Ok(())
}

/// How a number is written.
struct Form {
    offset: i64,
    width: usize,
    base: u8,
}

impl Form {
    fn read(text: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(text).ok()?.split(',');
        let offset = parts.next()?.trim().parse().ok()?;
        let width = parts.next().map_or(Some(0), |width| width.trim().parse().ok())?;
        let base = parts.next().unwrap_or("d").trim();
        let known = matches!(base, "d" | "o" | "x" | "X" | "n" | "N");
        (known && width <= WIDEST && parts.next().is_none()).then(|| Self {
            offset,
            width,
            base: base.as_bytes()[0],
        })
    }

    fn write(&self, value: u32, line: &mut Vec<u8>) -> Option<()> {
        let value = u32::try_from(i64::from(value).checked_add(self.offset)?).ok()?;
        let width = self.width;
        let text = match self.base {
            b'o' => format!("{value:0width$o}"),
            b'x' => format!("{value:0width$x}"),
            b'X' => format!("{value:0width$X}"),
            b'n' => nibbles(value, width),
            b'N' => nibbles(value, width).to_ascii_uppercase(),
            _ => format!("{value:0width$}"),
        };
        line.extend(text.bytes());
        Some(())
    }
}

/// The hexadecimal digits from the lowest, a dot between them; the dots count for the width.
fn nibbles(mut value: u32, width: usize) -> String {
    let mut text = String::new();
    loop {
        text.push(char::from_digit(value & 0xF, 16).unwrap_or('0'));
        value >>= 4;
        if value == 0 && text.len() >= width {
            return text;
        }
        text.push('.');
        if value == 0 && text.len() >= width {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, value: u32) -> Option<String> {
        let mut line = Vec::new();
        substitute(&Word { text: text.as_bytes(), at: 0, quoted: false }, value, &mut line).ok()?;
        Some(String::from_utf8(line).unwrap())
    }

    #[test]
    fn numbers_are_written_as_bind_writes_them() {
        for (text, expected) in [
            ("host$", "host10"),
            ("${5}", "15"),
            ("${-10}", "0"),
            ("${0,4}", "0010"),
            ("${0,4,x}-${0,0,X}-${0,3,o}", "000a-A-012"),
            ("${0,8,n}.ip6", "a.0.0.0..ip6"),
            ("${0,7,N}", "A.0.0.0"),
            ("\\$-$$-\\.", "\\$-\\$-\\."),
        ] {
            assert_eq!(written(text, 10).as_deref(), Some(expected), "{text}");
        }
        for wrong in ["${", "${x}", "${0,256}", "${0,1,z}", "${0,1,d,}", "${-11}"] {
            assert_eq!(written(wrong, 10), None, "{wrong}");
        }
    }

    #[test]
    fn ranges_go_up() {
        assert_eq!(read_range(b"0-100/10"), Some((0, 100, 10)));
        for wrong in [&b"5-1"[..], b"1", b"1-2/0", b"-1-2", b"1-99999999999", b"+1-2"] {
            assert_eq!(read_range(wrong), None);
        }
    }
}
