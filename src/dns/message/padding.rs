//! Padding (RFC 7830): how long an encrypted answer is tells nobody what is in it.
//!
//! It stands apart from the writer because two make answers here, this server's own [`super::writer`] and the resolver's
//! library, and neither knows over what its answer will go. What is padded is the message as it leaves.

use super::question::{self, Head, Unanswerable};
use super::{HEADER, LONGEST_MESSAGE};
use crate::dns::name::Name;
use crate::dns::types::RecordType;

/// The option that means nothing (RFC 7830 §3).
pub(super) const PADDING: u16 = 12;

/// A padded answer is a multiple of so many octets (RFC 8467 §4.1).
pub const BLOCK: usize = 468;

/// Octets of an option without data.
const OPTION_LENGTH: usize = 4;

/// Whether `question` is padded, and its answer is to be as well (RFC 7830 §4).
pub fn is_wanted(question: &[u8]) -> bool {
    let edns = match question::read(question) {
        Ok(question) => question.edns,
        Err(Unanswerable::OnlyCookie { edns, .. }) => Some(edns),
        Err(_) => None,
    };
    edns.is_some_and(|edns| edns.padding)
}

/// Pads `message` to the next multiple of [`BLOCK`], or to the longest message that there is. One whose last record is no OPT
/// stays as it is: it speaks no EDNS, or is signed already (RFC 8945 §5.1).
pub fn pad(message: &mut Vec<u8>) {
    let Some(opt) = last_opt(message) else { return };
    let bare = message.len() + OPTION_LENGTH;
    let padded = bare.next_multiple_of(BLOCK).min(LONGEST_MESSAGE);
    let (Some(zeros), data) = (padded.checked_sub(bare), opt.data) else { return };
    let (Ok(zeros), Ok(options)) = (u16::try_from(zeros), u16::try_from(padded - data)) else { return };
    message[data - 2..data].copy_from_slice(&options.to_be_bytes());
    message.extend_from_slice(&PADDING.to_be_bytes());
    message.extend_from_slice(&zeros.to_be_bytes());
    message.resize(padded, 0);
}

/// The last record, if it is an OPT.
fn last_opt(message: &[u8]) -> Option<Head> {
    let count = |at: usize| message.get(at..at + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let mut at = HEADER;
    for _ in 0..count(4)? {
        at = Name::read(message, at).ok()?.1 + 4;
    }
    let mut last = None;
    for _ in 0..u32::from(count(6)?) + u32::from(count(8)?) + u32::from(count(10)?) {
        let record = question::read_head(message, at)?;
        at = record.end;
        last = Some(record);
    }
    last.filter(|last| last.record_type == RecordType::OPT && at == message.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::message::asked::query;
    use crate::dns::message::question::Edns;
    use crate::dns::message::writer::{QUESTION_NAME, Section, Writer};
    use crate::dns::message::{Flags, asked};
    use crate::dns::types::Class;

    /// An answer with so many texts of so many octets.
    fn answer(edns: Option<Edns>, texts: usize, length: u8) -> Vec<u8> {
        let (mut buffer, name) = (Vec::new(), "www.foobar.com".parse().unwrap());
        let mut writer = Writer::begin(&mut buffer, 7, Flags(0), edns, LONGEST_MESSAGE);
        writer.question(&name, RecordType::TXT, Class::IN);
        let text = [vec![length], vec![b'x'; length.into()]].concat();
        for _ in 0..texts {
            let data = std::iter::once(&text[..]);
            if writer.records_at(Section::Answer, QUESTION_NAME, RecordType::TXT, 60, data).is_err() {
                break;
            }
        }
        writer.finish();
        buffer
    }

    /// The same question with the option.
    fn padded_question(octets: u16) -> Vec<u8> {
        let mut question = query(7, &"www.foobar.com".parse().unwrap(), RecordType::A);
        let end = question.len();
        question[end - 2..].copy_from_slice(&(4 + octets).to_be_bytes());
        question.extend([PADDING.to_be_bytes(), octets.to_be_bytes()].concat());
        question.resize(end + 4 + usize::from(octets), 0);
        question
    }

    #[test]
    fn rfc7830_section_4_who_pads_is_answered_so_and_nobody_else() {
        assert!(is_wanted(&padded_question(0)) && is_wanted(&padded_question(84)));
        assert!(!is_wanted(&query(7, &"www.foobar.com".parse().unwrap(), RecordType::A)));
        assert!(!is_wanted(&padded_question(84)[..100]), "it is not whole");
        assert!(!is_wanted(b""));
    }

    #[test]
    fn rfc8467_section_4_1_answers_are_multiples_of_468_octets() {
        for texts in 0..40 {
            let plain = answer(Some(Edns::default()), texts, 29);
            let mut padded = plain.clone();
            pad(&mut padded);
            assert_eq!(padded.len() % BLOCK, 0);
            assert!(padded.len() >= plain.len() + 4 && padded.len() < plain.len() + 4 + BLOCK);
            let read = asked::read_response(&padded).unwrap();
            assert_eq!(read.answers.len(), texts);
            // All of the message is records: the option is within the OPT, and it has nothing but zeros.
            let opt = last_opt(&padded).unwrap();
            assert_eq!(padded[opt.data..opt.data + 2], PADDING.to_be_bytes());
            assert!(padded[opt.data + 4..].iter().all(|octet| *octet == 0));
        }
    }

    #[test]
    fn what_cannot_be_padded_stays_as_it_is() {
        for plain in [
            answer(None, 3, 29),
            // It is not whole.
            answer(Some(Edns::default()), 1, 29)[..50].to_vec(),
            // Something is behind it.
            [&answer(Some(Edns::default()), 1, 29)[..], b"!"].concat(),
            b"hello".to_vec(),
        ] {
            let mut padded = plain.clone();
            pad(&mut padded);
            assert_eq!(padded, plain);
        }
    }

    #[test]
    fn rfc8467_section_4_1_the_longest_message_is_the_bound() {
        let (mut padded, mut whole) = (0, 0);
        for length in 0..=255 {
            let mut message = answer(Some(Edns::default()), 60_000, length);
            let before = message.len();
            pad(&mut message);
            assert!(
                message.len() == LONGEST_MESSAGE
                    || before + 4 > LONGEST_MESSAGE
                    || message.len().is_multiple_of(BLOCK)
            );
            assert!(message.len() <= LONGEST_MESSAGE && asked::read_response(&message).is_ok());
            if message.len() > before { padded += 1 } else { whole += 1 }
        }
        assert!(padded > 0 && whole > 0, "{padded} {whole}");
    }

    proptest! {
        #[test]
        fn any_octets_are_padded_or_left(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut padded = octets.clone();
            pad(&mut padded);
            prop_assert!(padded == octets || padded.len().is_multiple_of(BLOCK));
            let _ = is_wanted(&octets);
        }
    }
}
