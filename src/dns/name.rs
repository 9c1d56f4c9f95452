//! Domain names in their uncompressed wire form (RFC 1035 §3.1), and as text (§5.1).
//!
//! A name owns its octets inline, so that reading a question allocates nothing. Case is kept and never
//! compared (RFC 4343): length octets are at most 63 and no letter, so whole names compare as byte strings.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// The longest name, in octets with its final zero (RFC 1035 §2.3.4).
pub const LONGEST_NAME: usize = 255;

/// The longest label, in octets (RFC 1035 §2.3.4).
pub const LONGEST_LABEL: usize = 63;

/// The most labels that fit into a name, without the root's.
pub const MOST_LABELS: usize = 127;

/// An absolute domain name.
#[derive(Clone)]
pub struct Name {
    length: u8,
    octets: [u8; LONGEST_NAME],
}

/// Why something is no domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or a dot in front.
    #[error("an empty label: a name has no two dots in a row and none in front")]
    EmptyLabel,
    /// A label of more than 63 octets.
    #[error("a label is longer than 63 octets: shorten the part between two dots")]
    LabelTooLong,
    /// More than 255 octets.
    #[error("the name is longer than 255 octets: shorten it")]
    NameTooLong,
    /// A backslash that is not followed by three digits up to 255, or by another character.
    #[error("a bad escape: write \\DDD with three digits up to 255, or a backslash and one character")]
    BadEscape,
    /// A character that is neither ASCII nor escaped.
    #[error("a character outside ASCII: write the name in its xn-- form, or the octet as \\DDD")]
    NotAscii,
    /// A name without its final dot where nothing completes it.
    #[error("a relative name where there is no origin: end it with a dot")]
    NoOrigin,
    /// The octets end before the name does.
    #[error("the octets end before the name does")]
    Incomplete,
    /// A compression pointer that does not point backwards, or a label type that does not exist.
    #[error("a compression pointer or label type that cannot be followed")]
    BadPointer,
}

/// Pointers that are followed in one name. A writer that compresses needs one; without a bound, a message of 64 kB
/// could be made to cost thousands of them for each of its names.
const POINTERS_MOST: usize = 32;

impl Name {
    /// The root, `.`.
    pub const fn root() -> Self {
        Self { length: 1, octets: [0; LONGEST_NAME] }
    }

    /// The name that `wire` is, from its first to its last octet, uncompressed.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        let length = wire_length(wire)?;
        if length != wire.len() {
            return Err(NameError::Incomplete);
        }
        Ok(Self::from_valid(wire))
    }

    /// The name at `start` of `message`, and where what follows it begins. Pointers lead backwards only, each
    /// further than the one before, so that the way ends (RFC 1035 §4.1.4), and soon: [`POINTERS_MOST`].
    pub fn read(message: &[u8], start: usize) -> Result<(Self, usize), NameError> {
        let mut name = Self { length: 0, octets: [0; LONGEST_NAME] };
        let mut at = start;
        let mut barrier = start;
        let mut next = None;
        let mut pointers = 0;
        loop {
            let length = *message.get(at).ok_or(NameError::Incomplete)?;
            match length {
                0 => {
                    name.append(&[0])?;
                    return Ok((name, next.unwrap_or(at + 1)));
                }
                1..=63 => {
                    let end = at + 1 + usize::from(length);
                    name.append(message.get(at..end).ok_or(NameError::Incomplete)?)?;
                    at = end;
                }
                0xC0.. => {
                    let low = *message.get(at + 1).ok_or(NameError::Incomplete)?;
                    let target = usize::from(length & 0x3F) << 8 | usize::from(low);
                    pointers += 1;
                    if target >= barrier || pointers > POINTERS_MOST {
                        return Err(NameError::BadPointer);
                    }
                    next = next.or(Some(at + 2));
                    (at, barrier) = (target, target);
                }
                _ => return Err(NameError::BadPointer),
            }
        }
    }

    /// The name that `text` writes. Without a final dot it is completed with `origin` (RFC 1035 §5.1); `@`
    /// is the origin itself.
    pub fn parse(text: &[u8], origin: Option<&Self>) -> Result<Self, NameError> {
        match text {
            b"." => return Ok(Self::root()),
            b"@" => return origin.cloned().ok_or(NameError::NoOrigin),
            b"" => return Err(NameError::EmptyLabel),
            _ => {}
        }
        let mut name = Self { length: 0, octets: [0; LONGEST_NAME] };
        let mut label = [0; 1 + LONGEST_LABEL];
        let mut length = 0;
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            let octet = match byte {
                b'.' => {
                    name.append_label(&mut label, length)?;
                    length = 0;
                    continue;
                }
                b'\\' => unescape(&mut rest)?,
                0x80.. => return Err(NameError::NotAscii),
                plain => plain,
            };
            length += 1;
            *label.get_mut(length).ok_or(NameError::LabelTooLong)? = octet;
        }
        if length == 0 {
            // The text ended with an unescaped dot: the name is absolute.
            name.append(&[0])?;
        } else {
            name.append_label(&mut label, length)?;
            name.append(origin.ok_or(NameError::NoOrigin)?.as_wire())?;
        }
        Ok(name)
    }

    /// Its octets, with the final zero.
    pub fn as_wire(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    /// Its labels, leftmost first, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        labels(self.as_wire())
    }

    /// How many labels it has, without the root's.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.length == 1
    }

    /// The name without its leftmost label; nothing above the root.
    pub fn parent(&self) -> Option<Self> {
        let first = usize::from(self.octets[0]);
        (first > 0).then(|| Self::from_valid(&self.as_wire()[1 + first..]))
    }

    /// Whether it is `other` or below it.
    pub fn is_subdomain_of(&self, other: &Self) -> bool {
        is_suffix(self.as_wire(), other.as_wire())
    }

    /// The name with ASCII letters in lower case.
    pub fn to_lowercase(&self) -> Self {
        let mut name = self.clone();
        name.octets[..usize::from(self.length)].make_ascii_lowercase();
        name
    }

    /// The name with its suffix of `suffix_length` octets replaced by `target`, as a DNAME does (RFC 6672 §2.2).
    pub fn with_suffix(&self, suffix_length: usize, target: &[u8]) -> Result<Self, NameError> {
        let kept = self.as_wire().len().saturating_sub(suffix_length);
        let mut name = Self { length: 0, octets: [0; LONGEST_NAME] };
        name.append(&self.as_wire()[..kept])?;
        name.append(target)?;
        Ok(name)
    }

    /// From octets that are known to be one whole name.
    pub(crate) fn from_valid(wire: &[u8]) -> Self {
        let mut octets = [0; LONGEST_NAME];
        let length = wire.len().min(LONGEST_NAME);
        octets[..length].copy_from_slice(&wire[..length]);
        Self { length: u8::try_from(length).unwrap_or(u8::MAX), octets }
    }

    fn append_label(&mut self, label: &mut [u8; 1 + LONGEST_LABEL], length: usize) -> Result<(), NameError> {
        if length == 0 {
            return Err(NameError::EmptyLabel);
        }
        label[0] = u8::try_from(length).map_err(|_| NameError::LabelTooLong)?;
        self.append(&label[..=length])
    }

    fn append(&mut self, octets: &[u8]) -> Result<(), NameError> {
        let start = usize::from(self.length);
        let end = start + octets.len();
        self.octets.get_mut(start..end).ok_or(NameError::NameTooLong)?.copy_from_slice(octets);
        self.length = u8::try_from(end).map_err(|_| NameError::NameTooLong)?;
        Ok(())
    }
}

/// How many octets the uncompressed name at the start of `wire` has, with its final zero.
pub fn wire_length(wire: &[u8]) -> Result<usize, NameError> {
    let mut at = 0;
    loop {
        match *wire.get(at).ok_or(NameError::Incomplete)? {
            0 => return Ok(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return Err(NameError::BadPointer),
        }
        if at >= LONGEST_NAME {
            return Err(NameError::NameTooLong);
        }
    }
}

/// The labels of an uncompressed name, leftmost first, without the root's.
pub(crate) fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (&length, after) = rest.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, after) = after.split_at_checked(usize::from(length))?;
        rest = after;
        Some(label)
    })
}

/// Whether the uncompressed name `wire` is `suffix` or below it.
pub(crate) fn is_suffix(wire: &[u8], suffix: &[u8]) -> bool {
    let Some(start) = wire.len().checked_sub(suffix.len()) else {
        return false;
    };
    if !wire[start..].eq_ignore_ascii_case(suffix) {
        return false;
    }
    // The suffix must begin where a label begins.
    let mut at = 0;
    while at < start {
        at += 1 + usize::from(wire[at]);
    }
    at == start
}

/// The octet that an escape stands for; `rest` begins behind the backslash and is moved behind the escape.
pub(crate) fn unescape(rest: &mut &[u8]) -> Result<u8, NameError> {
    match **rest {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref after @ ..] => {
            let number = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
            *rest = after;
            u8::try_from(number).map_err(|_| NameError::BadEscape)
        }
        [b'0'..=b'9', ..] | [] => Err(NameError::BadEscape),
        [plain, ref after @ ..] => {
            *rest = after;
            Ok(plain)
        }
    }
}

/// Writes the uncompressed name `wire` as text with its final dot.
pub(crate) fn write_name(f: &mut dyn fmt::Write, wire: &[u8]) -> fmt::Result {
    if wire.first().is_none_or(|&length| length == 0) {
        return f.write_char('.');
    }
    for label in labels(wire) {
        for &octet in label {
            match octet {
                b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                    f.write_char('\\')?;
                    f.write_char(char::from(octet))?;
                }
                0x21..=0x7E => f.write_char(char::from(octet))?,
                _ => write!(f, "\\{octet:03}")?,
            }
        }
        f.write_char('.')?;
    }
    Ok(())
}

/// Reads an absolute name, with or without its final dot.
impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "@" {
            return Err(NameError::NoOrigin);
        }
        Self::parse(text.as_bytes(), Some(&Self::root()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.as_wire())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_wire().eq_ignore_ascii_case(other.as_wire())
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.to_lowercase().as_wire());
    }
}

#[cfg(test)]
mod tests;
