//! What a broken way makes of dialling and of asking, done by who dials.
//!
//! It stands apart because here nothing is spoilt on its way out: what is asked is late, is not sent, or is answered and not
//! heard. Whoever dials has a patience of its own, and what follows from silence is its own work. Only what vanishes unsent can
//! be told from a kernel's fault: no packet leaves, so a capture shows nothing where it would show a question without answer.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Active, Faults};
use crate::ground::fault::{Asked, EdgeWrong, Wrong, wait};

/// What is about to be done on a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::services) enum Moment {
    /// A connection is made.
    Dialling,
    /// Something is asked on a connection.
    Asking,
    /// Something is asked in a datagram.
    Datagram {
        /// One that is lost is sent again so much later.
        again: Duration,
        /// So often at most.
        most: u8,
    },
}

/// How the way is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a way that leads nowhere is not to be taken"]
pub(in crate::services) enum Met {
    /// As ever.
    Whole,
    /// Nothing gets there.
    Silent,
    /// What is sent gets there, and nothing comes back.
    Unheard,
    /// The operating system would say this.
    Failed(ErrorKind),
}

impl Met {
    /// Does `asking` as this way lets it: for ever where no answer comes back.
    pub(in crate::services) async fn over<T, E>(
        self,
        asking: impl Future<Output = Result<T, E>>,
        failed: impl FnOnce(io::Error) -> E,
    ) -> Result<T, E> {
        match self {
            Self::Whole => asking.await,
            Self::Silent => pending().await,
            Self::Unheard => {
                drop(asking.await);
                pending().await
            }
            Self::Failed(kind) => Err(failed(kind.into())),
        }
    }
}

impl Faults {
    /// Waits as long as the way to `to` is late, and tells how it is then; without an address, where a service has only one way.
    pub(in crate::services) async fn meet(&self, to: Option<IpAddr>, moment: Moment) -> Met {
        let Some(active) = self.now() else { return Met::Whole };
        let (late, met) = active.way(to, moment);
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        met
    }

    /// Does `dialling` as the way to `to` lets it.
    pub(in crate::services) async fn dial<T, E: From<io::Error>>(
        &self,
        to: Option<IpAddr>,
        dialling: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.meet(to, Moment::Dialling).await.over(dialling, E::from).await
    }
}

impl Active {
    /// How late the way to `to` is at this moment, and how it is then. Of several that break it, the first that was laid does.
    fn way(&self, to: Option<IpAddr>, moment: Moment) -> (Duration, Met) {
        let (mut late, mut met) = (Duration::ZERO, Met::Whole);
        for (laid, occasions) in &self.laid {
            let Wrong::Edge { asked, wrong } = laid.wrong else { continue };
            if asked == Asked::Here || !to.is_none_or(|to| asked.is_at(to)) {
                continue;
            }
            let next = || occasions.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            let (longer, found) = match (wrong, moment) {
                (EdgeWrong::Late { millis, jitter, stream }, _) => {
                    let drawn = stream.number(next(), jitter.saturating_mul(2).saturating_add(1));
                    (wait(millis.saturating_add(drawn).saturating_sub(jitter)), Met::Whole)
                }
                (EdgeWrong::Lost, Moment::Datagram { again, most }) => {
                    let lost = (0..=most).take_while(|_| laid.when.strikes(next())).count();
                    let is_given_up = lost > usize::from(most);
                    let lost = u32::try_from(lost).unwrap_or(u32::MAX);
                    (again.saturating_mul(lost), if is_given_up { Met::Silent } else { Met::Whole })
                }
                (EdgeWrong::Cut, _) | (EdgeWrong::HalfOpen, Moment::Dialling) => {
                    (Duration::ZERO, Met::Silent)
                }
                (EdgeWrong::HalfOpen, _) => (Duration::ZERO, Met::Unheard),
                (EdgeWrong::Refuse, Moment::Dialling | Moment::Datagram { .. }) => {
                    (Duration::ZERO, Met::Failed(ErrorKind::ConnectionRefused))
                }
                (EdgeWrong::Reset, Moment::Asking) => {
                    (Duration::ZERO, Met::Failed(ErrorKind::ConnectionReset))
                }
                // What is open is not refused, what is not open not reset, and TCP sends again what is lost.
                (EdgeWrong::Refuse | EdgeWrong::Reset | EdgeWrong::Lost, _) => continue,
                // Answers are narrowed by who gives them.
                (EdgeWrong::Narrow { .. }, _) => continue,
            };
            late += longer;
            if met == Met::Whole {
                met = found;
            }
        }
        (late, met)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::ground::chance::Stream;
    use crate::ground::fault::{FaultSet, Laid, When};

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));
    const DATAGRAM: Moment = Moment::Datagram { again: Duration::from_millis(15), most: 3 };

    fn laid(wrong: EdgeWrong, when: When) -> Faults {
        let wrong = Wrong::Edge { asked: Asked::At(HERE, None), wrong };
        let faults = Faults::default();
        faults.take(FaultSet { generation: 1, laid: vec![Laid { id: 1, wrong, when, only: None }] });
        faults
    }

    fn met(wrong: EdgeWrong) -> [Met; 3] {
        let active = laid(wrong, When::Always).now().unwrap();
        assert_eq!(active.way(Some(ELSEWHERE), Moment::Dialling), (Duration::ZERO, Met::Whole));
        [Moment::Dialling, Moment::Asking, DATAGRAM].map(|moment| active.way(Some(HERE), moment).1)
    }

    #[test]
    fn each_breaks_what_it_is_about_and_no_other_way() {
        let (refused, reset) =
            (Met::Failed(ErrorKind::ConnectionRefused), Met::Failed(ErrorKind::ConnectionReset));
        assert_eq!(met(EdgeWrong::Cut), [Met::Silent; 3]);
        assert_eq!(met(EdgeWrong::HalfOpen), [Met::Silent, Met::Unheard, Met::Unheard]);
        assert_eq!(met(EdgeWrong::Refuse), [refused, Met::Whole, refused]);
        assert_eq!(met(EdgeWrong::Reset), [Met::Whole, reset, Met::Whole]);
        assert_eq!(met(EdgeWrong::Lost), [Met::Whole, Met::Whole, Met::Silent], "always is each time again");
    }

    #[test]
    fn the_way_by_which_others_come_is_another_than_those_that_are_dialled() {
        let wrong = Wrong::Edge { asked: Asked::Here, wrong: EdgeWrong::Cut };
        let faults = Faults::default();
        let laid = vec![Laid { id: 1, wrong, when: When::Always, only: None }];
        faults.take(FaultSet { generation: 1, laid });
        let active = faults.now().unwrap();
        for to in [None, Some(HERE)] {
            assert_eq!(active.way(to, Moment::Dialling), (Duration::ZERO, Met::Whole));
        }
    }

    #[test]
    fn what_is_late_stays_within_its_jitter_and_is_the_same_again() {
        let times = |seed| -> Vec<Duration> {
            let wrong = EdgeWrong::Late { millis: 30, jitter: 20, stream: Stream::of(seed, 1) };
            let active = laid(wrong, When::Always).now().unwrap();
            (0..200).map(|_| active.way(Some(HERE), Moment::Asking).0).collect()
        };
        let first = times(7);
        assert!(first.iter().all(|late| (wait(10)..=wait(50)).contains(late)), "{first:?}");
        assert!(first.contains(&wait(10)) && first.contains(&wait(50)), "both ends are reached: {first:?}");
        assert_eq!(first, times(7));
        assert_ne!(first, times(8));
    }

    #[test]
    fn a_lost_datagram_is_sent_again_and_the_same_ones_are_lost_again() {
        let times = |seed| -> Vec<(Duration, Met)> {
            let when = When::Chance { millionths: 500_000, stream: Stream::of(seed, 1) };
            let active = laid(EdgeWrong::Lost, when).now().unwrap();
            (0..200).map(|_| active.way(Some(HERE), DATAGRAM)).collect()
        };
        let first = times(7);
        let whole = first.iter().filter(|way| **way == (Duration::ZERO, Met::Whole)).count();
        let lost = first.iter().filter(|(_, met)| *met == Met::Silent).count();
        assert!((60..140).contains(&whole), "half: {whole} of 200");
        assert!((1..40).contains(&lost), "a sixteenth: {lost} of 200");
        assert_eq!(first, times(7));
        assert_ne!(first, times(8));
    }
}
