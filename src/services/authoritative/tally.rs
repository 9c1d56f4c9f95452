//! How much was asked and what came of it, by transport, record type and response code, since the server started.
//!
//! Plain counters in fixed memory, which whoever answers raises without a lock and `wwwlab queries` reads: unlike
//! the journal, they leave nothing out, however much is asked.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::dns::message::writer::Finished;
use crate::dns::types::{Class, Rcode, RecordType};
use crate::ground::bind::Transport;
use crate::ground::channel::{Count, Counted, QueryCounts};

/// Record types are counted each by itself below this; all that have a word are.
const TYPES: usize = 258;
/// Response codes are counted each by itself below this.
const RCODES: usize = 24;

/// What a server counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    udp: Cells,
    tcp: Cells,
}

/// What is counted of one transport.
#[derive(Debug)]
struct Cells {
    /// By number; the last two are those of other types, and of questions that could not be read.
    types: [AtomicU64; TYPES + 2],
    /// By number; the last one is that of other codes.
    rcodes: [AtomicU64; RCODES + 1],
    unanswered: AtomicU64,
    cut: AtomicU64,
    dropped: AtomicU64,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered.
    Answered,
    /// Its answer was cut to nothing, because of the rate limit.
    Cut,
    /// It had an answer, which was not sent because of the rate limit.
    Dropped,
}

impl Default for Cells {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            types: std::array::from_fn(|_| zero()),
            rcodes: std::array::from_fn(|_| zero()),
            unanswered: zero(),
            cut: zero(),
            dropped: zero(),
        }
    }
}

impl Tally {
    /// Counts a question that has the answer `finished`, or none where silence is the answer.
    pub(super) fn count(&self, transport: Transport, finished: Option<Finished>, outcome: Outcome) {
        let cells = self.cells(transport);
        let Some(finished) = finished else {
            cells.unanswered.fetch_add(1, Relaxed);
            return;
        };
        let record_type = match finished.asked {
            Some((RecordType(number), Class::IN | Class::CH)) => usize::from(number).min(TYPES),
            Some(_) => TYPES,
            None => TYPES + 1,
        };
        cells.types[record_type].fetch_add(1, Relaxed);
        match outcome {
            Outcome::Dropped => cells.dropped.fetch_add(1, Relaxed),
            Outcome::Answered | Outcome::Cut => {
                if outcome == Outcome::Cut {
                    cells.cut.fetch_add(1, Relaxed);
                }
                cells.rcodes[usize::from(finished.rcode.0).min(RCODES)].fetch_add(1, Relaxed)
            }
        };
    }

    fn cells(&self, transport: Transport) -> &Cells {
        match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
        }
    }

    /// What was counted, the most frequent first.
    pub(super) fn read(&self) -> QueryCounts {
        QueryCounts { udp: self.udp.read(), tcp: self.tcp.read() }
    }
}

impl Cells {
    fn read(&self) -> Counted {
        let type_word = |number| match u16::try_from(number) {
            Ok(number) if usize::from(number) < TYPES => RecordType(number).to_string(),
            _ if number == TYPES => "other".to_owned(),
            _ => "?".to_owned(),
        };
        let rcode_word = |number| match u16::try_from(number) {
            Ok(number) if usize::from(number) < RCODES => Rcode(number).to_string(),
            _ => "other".to_owned(),
        };
        let rcodes = frequent(&self.rcodes, rcode_word);
        Counted {
            answered: rcodes.iter().map(|counted| counted.count).sum(),
            types: frequent(&self.types, type_word),
            rcodes,
            unanswered: self.unanswered.load(Relaxed),
            limited: self.cut.load(Relaxed) + self.dropped.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }
}

/// Those of `cells` that counted something, the most frequent first, with their words.
fn frequent(cells: &[AtomicU64], word: impl Fn(usize) -> String) -> Vec<Count> {
    let counts = cells.iter().map(|cell| cell.load(Relaxed)).enumerate();
    let mut counted: Vec<Count> = counts
        .filter(|&(_, count)| count > 0)
        .map(|(number, count)| Count { what: word(number), count })
        .collect();
    counted.sort_by_key(|counted| std::cmp::Reverse(counted.count));
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::Flags;

    fn finished(rcode: Rcode, asked: Option<(RecordType, Class)>) -> Option<Finished> {
        Some(Finished {
            rcode,
            flags: Flags::default(),
            answers: 0,
            asked,
            expanded: None,
            knows_asker: false,
        })
    }

    #[test]
    fn each_question_is_counted_where_it_belongs() {
        let tally = Tally::default();
        let a = Some((RecordType::A, Class::IN));
        tally.count(Transport::Udp, finished(Rcode::NOERROR, a), Outcome::Answered);
        tally.count(Transport::Udp, finished(Rcode::NXDOMAIN, a), Outcome::Answered);
        tally.count(Transport::Udp, finished(Rcode::NXDOMAIN, a), Outcome::Cut);
        tally.count(Transport::Udp, finished(Rcode::NXDOMAIN, a), Outcome::Dropped);
        tally.count(Transport::Udp, finished(Rcode::FORMERR, None), Outcome::Answered);
        tally.count(Transport::Udp, None, Outcome::Answered);
        let far = |number, class| Some((RecordType(number), class));
        tally.count(Transport::Tcp, finished(Rcode(4095), far(65_280, Class::IN)), Outcome::Answered);
        tally.count(Transport::Tcp, finished(Rcode::REFUSED, far(257, Class::HS)), Outcome::Answered);
        tally.count(Transport::Tcp, finished(Rcode::REFUSED, far(257, Class::IN)), Outcome::Answered);
        let QueryCounts { udp, tcp } = tally.read();
        let shown = |counts: &[Count]| -> Vec<String> {
            counts.iter().map(|count| format!("{} {}", count.what, count.count)).collect()
        };
        assert_eq!((udp.answered, udp.unanswered, udp.limited, udp.dropped), (4, 1, 2, 1));
        assert_eq!(shown(&udp.types), ["A 4", "? 1"]);
        assert_eq!(shown(&udp.rcodes), ["NXDOMAIN 2", "NOERROR 1", "FORMERR 1"]);
        assert_eq!((tcp.answered, tcp.unanswered, tcp.limited), (3, 0, 0));
        assert_eq!(shown(&tcp.types), ["other 2", "CAA 1"]);
        assert_eq!(shown(&tcp.rcodes), ["REFUSED 2", "other 1"]);
    }
}
