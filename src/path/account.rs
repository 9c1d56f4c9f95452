//! Where the time went: every microsecond belongs to one step, the innermost at work, or to a gap.
//!
//! So the parts make up the whole: a web server's time is that in which neither the application nor the database was at
//! work for it. A gap is time in which nobody that is seen was: the client between two steps. Gaps are never shared out.

use super::model::{Heading, Path};

/// Where the time went, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Each heading's own time, in the order of [`Heading::ALL`].
    pub headings: [u64; 8],
    /// Each step's own time, in the order of the path's steps.
    pub steps: Vec<u64>,
    /// Gaps, in order: when each began and how long it was.
    pub gaps: Vec<(u64, u64)>,
    /// The whole.
    pub whole: u64,
}

impl Account {
    /// Of `path`. What sticks out of the whole is not counted.
    pub fn of(path: &Path) -> Self {
        let whole = path.micros;
        let span = |at: usize| {
            let step = &path.steps[at];
            (step.begins.min(whole), step.ends().min(whole))
        };
        let mut edges: Vec<u64> = (0..path.steps.len()).flat_map(|at| <[u64; 2]>::from(span(at))).collect();
        edges.extend([0, whole]);
        edges.sort_unstable();
        edges.dedup();
        let mut account =
            Self { headings: [0; 8], steps: vec![0; path.steps.len()], gaps: Vec::new(), whole };
        for pair in edges.windows(2) {
            let &[begins, ends] = pair else { continue };
            let covers = |&at: &usize| span(at).0 <= begins && ends <= span(at).1;
            // Of two as deep, the one that began later: the other waits for it.
            let innermost = (0..path.steps.len())
                .filter(covers)
                .max_by_key(|&at| (path.steps[at].depth, path.steps[at].begins, at));
            match innermost {
                Some(at) => {
                    account.steps[at] += ends - begins;
                    account.headings[path.steps[at].heading.number() - 1] += ends - begins;
                }
                None => match account.gaps.last_mut() {
                    Some((from, length)) if *from + *length == begins => *length += ends - begins,
                    _ => account.gaps.push((begins, ends - begins)),
                },
            }
        }
        account
    }

    /// A heading's own time.
    pub fn heading(&self, heading: Heading) -> u64 {
        self.headings[heading.number() - 1]
    }

    /// All gaps together.
    pub fn gap(&self) -> u64 {
        self.gaps.iter().map(|(_, length)| length).sum()
    }

    /// `micros` as a share of the whole, in hundredths, rounded.
    pub fn percent(&self, micros: u64) -> u64 {
        let hundredths = u128::from(micros) * 100 + u128::from(self.whole / 2);
        hundredths
            .checked_div(u128::from(self.whole))
            .and_then(|share| u64::try_from(share).ok())
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model::example;
    use super::*;

    #[test]
    fn each_moment_belongs_to_the_innermost_step() {
        let account = Account::of(&example::page());
        assert_eq!(account.steps, [300, 100, 60, 120, 140, 200]);
        assert_eq!(account.gaps, [(400, 40), (960, 40)]);
        assert_eq!((account.heading(Heading::Dns), account.heading(Heading::Firewall)), (400, 0));
        assert_eq!(account.percent(account.gap()), 8);
    }

    #[test]
    fn a_step_that_sticks_out_is_cut_and_nothing_is_divided_by_zero() {
        let mut path = example::page();
        path.steps[3].micros = 10_000;
        let account = Account::of(&path);
        assert_eq!(account.steps.iter().sum::<u64>() + account.gap(), 1_000);
        path.micros = 0;
        let account = Account::of(&path);
        assert_eq!((account.gap(), account.percent(7)), (0, 0));
    }

    proptest! {
        #[test]
        fn the_parts_make_up_the_whole(
            spans in prop::collection::vec((0_u64..2_000, 0_u64..2_000, 0_u8..4), 0..12),
            whole in 0_u64..2_000,
        ) {
            let mut path = example::page();
            let model = path.steps[0].clone();
            path.micros = whole;
            path.steps = spans
                .into_iter()
                .map(|(begins, micros, depth)| super::super::model::Step { begins, micros, depth, ..model.clone() })
                .collect();
            let account = Account::of(&path);
            prop_assert_eq!(account.steps.iter().sum::<u64>() + account.gap(), whole);
            prop_assert_eq!(account.headings.iter().sum::<u64>() + account.gap(), whole);
        }
    }
}
