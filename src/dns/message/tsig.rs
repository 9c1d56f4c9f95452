//! Signed messages (TSIG, RFC 8945): two servers that share a secret know that a message is the other's, and whole.
//!
//! Pure: the time comes in as seconds since the Unix epoch. The code covers the message as it was before it was signed,
//! who signed it with what and when (§4.3), and in an answer the code of the question, so that it is an answer to this
//! one. An answer of several messages is a chain: each covers the code before it (§5.3.1). We sign each message of it; a
//! peer may leave out up to 99 in a row.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac as _};
use sha2::{Sha256, Sha384, Sha512};

use super::{HEADER, read_u16};
use crate::dns::name::Name;
use crate::dns::types::RecordType;

/// How far two clocks may be apart, in seconds (§10).
pub const FUDGE: u16 = 300;

/// Messages in a row that need no signature (§5.3.1).
const UNSIGNED_MOST: usize = 99;

/// The class of a signature: ANY.
const CLASS: u16 = 255;

/// How codes are made (§6). MD5 and SHA-1 are not offered: nothing new should need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// hmac-sha256
    Sha256,
    /// hmac-sha384
    Sha384,
    /// hmac-sha512
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name, as dig and key files write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "hmac-sha256",
            Self::Sha384 => "hmac-sha384",
            Self::Sha512 => "hmac-sha512",
        }
    }

    /// The algorithm of that name, in any case, with or without a final dot.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.trim_end_matches('.');
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(word))
    }

    /// Octets of a whole code.
    pub const fn code_length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Its name as it travels.
    fn name(self) -> Name {
        // The names above are names.
        self.as_str().parse().unwrap_or(Name::root())
    }
}

/// A secret that two servers share. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name: both sides call it the same.
    pub name: Name,
    /// How codes are made with it.
    pub algorithm: Algorithm,
    /// The secret.
    pub secret: Box<[u8]>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.name, self.algorithm.as_str())
    }
}

/// What a signature says went wrong (§3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Fault {
    /// The code is not right.
    BadSig = 16,
    /// The key is not known.
    BadKey = 17,
    /// The clocks are too far apart.
    BadTime = 18,
    /// The code was cut shorter than is taken here: not at all.
    BadTrunc = 22,
}

/// Why a signed question is not answered.
#[derive(Debug)]
pub enum Refused {
    /// It cannot be read: FORMERR.
    Malformed,
    /// NOTAUTH, with what [`Self::Faulty`] says in a signature without a code: the other side could not check one.
    Unknown(Fault),
    /// NOTAUTH, signed.
    Faulty(Fault, Signer),
}

/// Why a signed answer cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It is not signed, or not often enough.
    #[error("it is not signed: does the other side have the key?")]
    Unsigned,
    /// It cannot be read.
    #[error("its signature cannot be read")]
    Malformed,
    /// It is signed with another key.
    #[error("it is signed with another key")]
    OtherKey,
    /// The code is not right.
    #[error("its signature is wrong: the secret differs, or somebody changed the message")]
    Wrong,
    /// It was made too long ago, or is yet to be made.
    #[error("it was signed at another time: the clocks are more than {FUDGE} s apart")]
    Time,
    /// The other side says what it did not like.
    #[error("the other side refuses our signature: {}", fault_word(*.0))]
    Refused(u16),
}

fn fault_word(fault: u16) -> &'static str {
    match fault {
        16 => "BADSIG (the secrets differ)",
        17 => "BADKEY (it does not know the key)",
        18 => "BADTIME (the clocks are too far apart)",
        22 => "BADTRUNC (the code is too short)",
        _ => "for a reason without a name",
    }
}

/// A signature as it stands in a message.
#[derive(Debug)]
struct Signature<'m> {
    key: Name,
    algorithm: Name,
    time: u64,
    fudge: u16,
    code: &'m [u8],
    original_id: u16,
    fault: u16,
    other: &'m [u8],
}

impl<'m> Signature<'m> {
    /// Reads the record at `start`, which must be the message's last.
    fn read(message: &'m [u8], start: usize) -> Option<Self> {
        let (key, at) = Name::read(message, start).ok()?;
        if read_u16(message, at)? != RecordType::TSIG.0 || read_u16(message, at + 2)? != CLASS {
            return None;
        }
        // The TTL is 0 (§4.2); the code is made as if it were, whatever it says.
        if message.get(at + 4..at + 8)? != [0; 4] {
            return None;
        }
        let (algorithm, at) = Name::read(message, at + 10).ok()?;
        let rest = message.get(at..)?;
        let (&[a, b, c, d, e, f], rest) = rest.split_first_chunk()?;
        let time = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let (&fudge, rest) = rest.split_first_chunk()?;
        let (&length, rest) = rest.split_first_chunk()?;
        let (code, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(length)))?;
        let (&original_id, rest) = rest.split_first_chunk()?;
        let (&fault, rest) = rest.split_first_chunk()?;
        let (&length, other) = rest.split_first_chunk()?;
        (other.len() == usize::from(u16::from_be_bytes(length))).then_some(Self {
            key,
            algorithm,
            time,
            fudge: u16::from_be_bytes(fudge),
            code,
            original_id: u16::from_be_bytes(original_id),
            fault: u16::from_be_bytes(fault),
            other,
        })
    }

    /// What the code covers beside the message (§4.3.3).
    fn variables(&self) -> Vec<u8> {
        let mut octets = self.key.to_lowercase().as_wire().to_vec();
        octets.extend(CLASS.to_be_bytes());
        octets.extend([0; 4]);
        octets.extend(self.algorithm.to_lowercase().as_wire());
        octets.extend(self.timers());
        octets.extend(self.fault.to_be_bytes());
        octets.extend(length_of(self.other));
        octets.extend(self.other);
        octets
    }

    /// The same in all but the first message of a chain.
    fn timers(&self) -> [u8; 8] {
        let [_, _, a, b, c, d, e, f] = self.time.to_be_bytes();
        let [high, low] = self.fudge.to_be_bytes();
        [a, b, c, d, e, f, high, low]
    }

    /// Appends the record to `message`.
    fn append(&self, message: &mut Vec<u8>) {
        message.extend_from_slice(self.key.as_wire());
        message.extend_from_slice(&RecordType::TSIG.0.to_be_bytes());
        message.extend_from_slice(&CLASS.to_be_bytes());
        message.extend_from_slice(&[0; 4]);
        let length_at = message.len();
        message.extend_from_slice(&[0; 2]);
        message.extend_from_slice(self.algorithm.as_wire());
        message.extend_from_slice(&self.timers());
        message.extend_from_slice(&length_of(self.code));
        message.extend_from_slice(self.code);
        message.extend_from_slice(&self.original_id.to_be_bytes());
        message.extend_from_slice(&self.fault.to_be_bytes());
        message.extend_from_slice(&length_of(self.other));
        message.extend_from_slice(self.other);
        let length = length_of(&message[length_at + 2..]);
        message[length_at..length_at + 2].copy_from_slice(&length);
        let additionals = read_u16(message, 10).unwrap_or(0).wrapping_add(1);
        message[10..12].copy_from_slice(&additionals.to_be_bytes());
    }
}

fn length_of(octets: &[u8]) -> [u8; 2] {
    u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// A code that is being made.
#[derive(Clone)]
enum Code {
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

macro_rules! each {
    ($code:expr, $hmac:ident => $do:expr) => {
        match $code {
            Code::Sha256($hmac) => $do,
            Code::Sha384($hmac) => $do,
            Code::Sha512($hmac) => $do,
        }
    };
}

impl Code {
    /// Begins with the code before this one in the chain, if there is one.
    fn begin(key: &Key, before: Option<&[u8]>) -> Self {
        #[expect(clippy::expect_used, reason = "a secret of any length makes codes (RFC 2104 §2)")]
        let mut code = match key.algorithm {
            Algorithm::Sha256 => Self::Sha256(Hmac::new_from_slice(&key.secret).expect("any length")),
            Algorithm::Sha384 => Self::Sha384(Hmac::new_from_slice(&key.secret).expect("any length")),
            Algorithm::Sha512 => Self::Sha512(Hmac::new_from_slice(&key.secret).expect("any length")),
        };
        if let Some(before) = before {
            code.add(&length_of(before));
            code.add(before);
        }
        code
    }

    fn add(&mut self, octets: &[u8]) {
        each!(self, hmac => hmac.update(octets));
    }

    /// Adds a message as it was before it was signed: without the record at `start`, and with its own identifier.
    fn add_signed(&mut self, message: &[u8], start: usize, signature: &Signature<'_>) {
        self.add(&signature.original_id.to_be_bytes());
        self.add(message.get(2..10).unwrap_or_default());
        self.add(&read_u16(message, 10).unwrap_or(0).wrapping_sub(1).to_be_bytes());
        self.add(message.get(HEADER..start).unwrap_or_default());
    }

    fn finish(self) -> Vec<u8> {
        each!(self, hmac => hmac.finalize().into_bytes().to_vec())
    }

    /// Whether it begins with `code`, compared in constant time.
    fn begins_with(self, code: &[u8]) -> bool {
        each!(self, hmac => hmac.verify_truncated_left(code).is_ok())
    }
}

/// Signs the messages of one side of a conversation, in their order.
#[derive(Debug)]
pub struct Signer {
    key: Arc<Key>,
    /// The code before: the question's, then each message's; nothing in a question.
    before: Option<Vec<u8>>,
    /// Whether a message of this side was signed already.
    begun: bool,
    /// When the question was signed, for the answer that its time is not ours.
    asked_at: u64,
}

impl Signer {
    /// For a question.
    pub fn of_question(key: Arc<Key>) -> Self {
        Self { key, before: None, begun: false, asked_at: 0 }
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Octets that a signature takes at most.
    pub fn longest_signature(&self) -> usize {
        let algorithm = self.key.algorithm;
        self.key.name.as_wire().len() + 10 + algorithm.as_str().len() + 2 + 16 + algorithm.code_length() + 6
    }

    /// Signs `message`, which has room for it.
    pub fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        self.sign_with(message, now, 0, &[]);
    }

    /// Signs `message`, which says what was wrong with the question's signature (§5.2.3: with the time of both).
    pub fn sign_fault(&mut self, message: &mut Vec<u8>, now: u64, fault: Fault) {
        let [_, _, other @ ..] = now.to_be_bytes();
        match fault {
            Fault::BadTime => self.sign_with(message, self.asked_at, fault as u16, &other),
            _ => self.sign_with(message, now, fault as u16, &[]),
        }
    }

    fn sign_with(&mut self, message: &mut Vec<u8>, time: u64, fault: u16, other: &[u8]) {
        let mut signature = Signature {
            key: self.key.name.clone(),
            algorithm: self.key.algorithm.name(),
            time,
            fudge: FUDGE,
            code: &[],
            original_id: read_u16(message, 0).unwrap_or(0),
            fault,
            other,
        };
        let mut code = Code::begin(&self.key, self.before.as_deref());
        code.add(message);
        match self.begun {
            true => code.add(&signature.timers()),
            false => code.add(&signature.variables()),
        }
        let code = code.finish();
        signature.code = &code;
        signature.append(message);
        self.begun = true;
        self.before = Some(code);
    }
}

/// Checks the signature at `start` of a question, and returns what signs the answer (§5.2).
pub fn check_question(keys: &[Arc<Key>], message: &[u8], start: usize, now: u64) -> Result<Signer, Refused> {
    let signature = Signature::read(message, start).ok_or(Refused::Malformed)?;
    let same = |key: &&Arc<Key>| key.name == signature.key && key.algorithm.name() == signature.algorithm;
    let key = keys.iter().find(same).ok_or(Refused::Unknown(Fault::BadKey))?;
    let whole = key.algorithm.code_length();
    // A shorter one is no attempt at a code (§5.2.2.1).
    if signature.code.len() > whole || signature.code.len() < (whole / 2).max(10) {
        return Err(Refused::Malformed);
    }
    let mut code = Code::begin(key, None);
    code.add_signed(message, start, &signature);
    code.add(&signature.variables());
    if !code.begins_with(signature.code) {
        return Err(Refused::Unknown(Fault::BadSig));
    }
    let signer = Signer {
        key: key.clone(),
        before: Some(signature.code.to_vec()),
        begun: false,
        asked_at: signature.time,
    };
    if now.abs_diff(signature.time) > u64::from(signature.fudge.min(FUDGE)) {
        return Err(Refused::Faulty(Fault::BadTime, signer));
    }
    if signature.code.len() < whole {
        return Err(Refused::Faulty(Fault::BadTrunc, signer));
    }
    Ok(signer)
}

/// Where the signature of `message` begins, if it has one as its last record; nothing if it cannot be read.
pub fn find(message: &[u8]) -> Option<Option<usize>> {
    let mut at = HEADER;
    for _ in 0..read_u16(message, 4)? {
        at = Name::read(message, at).ok()?.1 + 4;
    }
    let records: u32 =
        [6, 8, 10].into_iter().map(|count| read_u16(message, count).map_or(0, u32::from)).sum();
    let mut last = None;
    for _ in 0..records {
        let data = Name::read(message, at).ok()?.1;
        last = (read_u16(message, data)? == RecordType::TSIG.0).then_some(at);
        at = data + 10 + usize::from(read_u16(message, data + 8)?);
    }
    (at == message.len()).then_some(last)
}

/// Appends to `reply` a signature without a code that says why the one at `start` of `question` is not taken (§5.3.2).
pub fn append_fault(reply: &mut Vec<u8>, question: &[u8], start: usize, fault: Fault) {
    if let Some(asked) = Signature::read(question, start) {
        Signature { code: &[], fault: fault as u16, other: &[], ..asked }.append(reply);
    }
}

/// Checks the messages of an answer, in their order.
#[derive(Debug)]
pub struct Checker {
    signer: Signer,
    /// Messages since the last signed one, which the next code covers.
    unsigned: Vec<u8>,
    unsigned_count: usize,
}

impl Checker {
    /// Of the answer to a question that `signer` signed.
    pub fn of_answer(signer: Signer) -> Self {
        let signer = Signer { begun: false, ..signer };
        Self { signer, unsigned: Vec::new(), unsigned_count: 0 }
    }

    /// Checks the next message, whose signature is at `start` if it has one; `last` says that no more come.
    pub fn check(
        &mut self,
        message: &[u8],
        start: Option<usize>,
        last: bool,
        now: u64,
    ) -> Result<(), Untrusted> {
        let Some(start) = start else {
            if !self.signer.begun || last || self.unsigned_count == UNSIGNED_MOST {
                return Err(Untrusted::Unsigned);
            }
            self.unsigned_count += 1;
            self.unsigned.extend_from_slice(message);
            return Ok(());
        };
        let signature = Signature::read(message, start).ok_or(Untrusted::Malformed)?;
        if signature.fault != 0 && signature.code.is_empty() {
            return Err(Untrusted::Refused(signature.fault));
        }
        let key = &self.signer.key;
        if key.name != signature.key || key.algorithm.name() != signature.algorithm {
            return Err(Untrusted::OtherKey);
        }
        let mut code = Code::begin(key, self.signer.before.as_deref());
        code.add(&self.unsigned);
        code.add_signed(message, start, &signature);
        match self.signer.begun {
            true => code.add(&signature.timers()),
            false => code.add(&signature.variables()),
        }
        if signature.code.len() != key.algorithm.code_length() || !code.begins_with(signature.code) {
            return Err(Untrusted::Wrong);
        }
        if signature.fault != 0 {
            return Err(Untrusted::Refused(signature.fault));
        }
        if now.abs_diff(signature.time) > u64::from(signature.fudge.min(FUDGE)) {
            return Err(Untrusted::Time);
        }
        self.signer.before = Some(signature.code.to_vec());
        self.signer.begun = true;
        self.unsigned.clear();
        self.unsigned_count = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
