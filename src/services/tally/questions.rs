//! How much was asked and what came of it, by transport, record type and response code, since the server started; and how
//! long answers took.
//!
//! An answer costs two additions, and a batch of them, which came and went together, one look at the clock and four
//! additions more.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::dns::message::writer::Finished;
use crate::dns::types::{Class, Rcode, RecordType};
use crate::ground::bind::Transport;
use crate::ground::channel::{Count, Counted, QueryCounts};
use crate::ground::clock::{self, Stopwatch};
use crate::ground::metrics::{Family, Histogram, Pace};

/// Record types are counted each by itself below this; all that have a word are.
const TYPES: usize = 258;
/// Response codes are counted each by itself below this.
const RCODES: usize = 24;

/// What a server counts.
#[derive(Debug)]
pub(in crate::services) struct Tally {
    udp: Cells,
    tcp: Cells,
    /// Of TLS, HTTPS and QUIC, each from the first question on: hardly any server is ever asked so.
    private: [OnceLock<Box<Cells>>; 3],
    pace: Pace,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            udp: Cells::default(),
            tcp: Cells::default(),
            private: Default::default(),
            pace: Pace::new(clock::now()),
        }
    }
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
    times: Histogram,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services) enum Outcome {
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
            times: Histogram::default(),
        }
    }
}

impl Tally {
    /// Counts a question that has the answer `finished`, or none where silence is the answer.
    pub(in crate::services) fn count(
        &self,
        transport: Transport,
        finished: Option<Finished>,
        outcome: Outcome,
    ) {
        match finished {
            Some(finished) => self.count_answer(transport, finished.asked, finished.rcode, outcome),
            None => self.count_silence(transport),
        }
    }

    /// Counts a message to which silence is the answer.
    pub(in crate::services) fn count_silence(&self, transport: Transport) {
        self.cells(transport).unanswered.fetch_add(1, Relaxed);
    }

    /// Counts the answer `rcode` to what was `asked`, nothing of which is known where it could not be read.
    pub(in crate::services) fn count_answer(
        &self,
        transport: Transport,
        asked: Option<(RecordType, Class)>,
        rcode: Rcode,
        outcome: Outcome,
    ) {
        let cells = self.cells(transport);
        let record_type = match asked {
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
                cells.rcodes[usize::from(rcode.0).min(RCODES)].fetch_add(1, Relaxed)
            }
        };
    }

    /// Counts how long `answers` took that were made together, since `watch` was started.
    pub(in crate::services) fn took(&self, transport: Transport, watch: Stopwatch, answers: u64) {
        if answers == 0 {
            return;
        }
        let time = watch.elapsed();
        self.cells(transport).times.observe(time, answers);
        self.pace.count(watch.started() + time, answers);
    }

    /// Answers a second, of late.
    pub(in crate::services) fn pace(&self) -> f64 {
        self.pace.per_second(clock::now())
    }

    fn cells(&self, transport: Transport) -> &Cells {
        self.place(transport).map_or_else(|cells| cells, |place| place.get_or_init(Box::default))
    }

    /// The cells of `transport`, or the place for them where they are made at first need.
    fn place(&self, transport: Transport) -> Result<&OnceLock<Box<Cells>>, &Cells> {
        match transport {
            Transport::Udp => Err(&self.udp),
            Transport::Tcp => Err(&self.tcp),
            Transport::Tls => Ok(&self.private[0]),
            Transport::Https => Ok(&self.private[1]),
            Transport::Quic => Ok(&self.private[2]),
        }
    }

    /// The cells of `transport`, if there are any.
    fn known(&self, transport: Transport) -> Option<&Cells> {
        self.place(transport).map_or_else(Some, |place| place.get().map(|cells| &**cells))
    }

    /// What was counted, the most frequent first.
    pub(in crate::services) fn read(&self) -> QueryCounts {
        let private = |transport| self.known(transport).map(Cells::read);
        QueryCounts {
            udp: self.udp.read(),
            tcp: self.tcp.read(),
            tls: private(Transport::Tls),
            https: private(Transport::Https),
            quic: private(Transport::Quic),
        }
    }

    /// What was counted, as metrics.
    pub(in crate::services) fn families(&self) -> Vec<Family> {
        let mut queries =
            Family::counter("wwwlab_dns_queries_total", "Questions that were answered or dropped.");
        let mut responses = Family::counter("wwwlab_dns_responses_total", "Answers that were sent.");
        let help = "Messages to which silence is the answer: answers, and what is shorter than a header.";
        let mut unanswered = Family::counter("wwwlab_dns_unanswered_total", help);
        let help = "Answers beyond the rate limit: cut to nothing, or dropped.";
        let mut limited = Family::counter("wwwlab_dns_limited_total", help);
        let help = "Time from a question to its answer; those that came together are answered together.";
        let mut times = Family::histogram("wwwlab_dns_response_duration_seconds", help);
        for transport in Transport::ALL {
            let Some(cells) = self.known(transport) else { continue };
            let counted = cells.read();
            let over = ("transport", &*transport.to_string());
            for (word, count) in known(&counted.types) {
                queries = queries.with(&[over, ("type", word)], count);
            }
            for (word, count) in known(&counted.rcodes) {
                responses = responses.with(&[over, ("rcode", word)], count);
            }
            unanswered = unanswered.with(&[over], counted.unanswered);
            if transport == Transport::Udp {
                let cut = counted.limited.saturating_sub(counted.dropped);
                limited =
                    limited.with(&[("action", "cut")], cut).with(&[("action", "dropped")], counted.dropped);
            }
            times = times.with(&[over], cells.times.read());
        }
        vec![queries, responses, unanswered, limited, times]
    }
}

/// `counts` by words that are few, whatever strangers ask for: what has no name of its own counts as `other`.
fn known(counts: &[Count]) -> BTreeMap<&str, u64> {
    let mut known = BTreeMap::new();
    for Count { what, count } in counts {
        let numbered = |of: &str| what.strip_prefix(of).is_some_and(|rest| rest.parse::<u16>().is_ok());
        let word = match what.as_str() {
            "?" => "unreadable",
            _ if numbered("TYPE") || numbered("RCODE") => "other",
            word => word,
        };
        *known.entry(word).or_default() += count;
    }
    known
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
        let QueryCounts { udp, tcp, tls, https, quic } = tally.read();
        assert_eq!((tls, https, quic), (None, None, None), "nobody asked so");
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

    #[test]
    fn what_strangers_make_up_makes_no_metrics() {
        let tally = Tally::default();
        for number in 0..=u16::MAX {
            let (asked, rcode) = (Some((RecordType(number), Class::IN)), Rcode(number % 4096));
            tally.count_answer(Transport::Udp, asked, rcode, Outcome::Answered);
        }
        tally.count_answer(Transport::Tcp, None, Rcode::FORMERR, Outcome::Answered);
        tally.took(Transport::Udp, Stopwatch::start(), 65_536);
        tally.took(Transport::Tcp, Stopwatch::start(), 0);
        let [queries, responses, _, _, times] = &tally.families()[..] else { panic!() };
        assert!(queries.samples.len() < 120, "{}", queries.samples.len());
        assert!(responses.samples.len() < 30, "{}", responses.samples.len());
        let text = crate::ground::metrics::text::text(&[queries.clone(), times.clone()]);
        assert!(text.contains("{transport=\"udp\",type=\"A\"} 1\n"), "{text}");
        assert!(text.contains("{transport=\"tcp\",type=\"unreadable\"} 1\n"), "{text}");
        assert!(text.contains("_count{transport=\"udp\"} 65536\n"), "{text}");
        assert!(text.contains("_count{transport=\"tcp\"} 0\n"), "{text}");
        assert!(tally.pace() >= 65_536.0 / 5.0);
    }
}
