//! The look-up of a name: what the client heard, and whom the resolver asked for it.

use std::net::SocketAddr;

use super::{Question, STEPS_MOST, Span, Teller, Told, What, client, step};
use crate::dns::message::LONGEST_UDP;
use crate::dns::message::asked::Response;
use crate::dns::types::Rcode;
use crate::path::asking::Seen;
use crate::path::model::{Heading, Party, Said, Step};

impl Teller<'_> {
    /// The name's look-up, as the client saw it and as the resolver went about it.
    pub(super) fn name(&mut self, seen: &Seen) {
        let Some(lookup) = &seen.lookup else {
            let because = "not needed: the URL names an address, so there is no name to look up";
            return self.lacks(Heading::Dns, because);
        };
        let resolver = self.cast.at(lookup.resolver);
        let question = self.question(lookup.from);
        let mut step = Step {
            cached: question.as_ref().and_then(|(_, question)| question.cached),
            ..step(Heading::Dns, 0, client(lookup.from), resolver.clone(), lookup.begins, lookup.micros)
        };
        step.said.push(Said::new(
            "asks",
            format!(
                "{} A? flags rd, EDNS with {LONGEST_UDP} octets; {} octets over UDP",
                lookup.name, lookup.question_bytes
            ),
        ));
        let mut outcome = None;
        match &lookup.answered {
            Ok(answered) => {
                let response = &answered.response;
                step.said.push(Said::new("hears", sections(response, answered.bytes)));
                let records = response.answers.iter().take(8);
                step.said.extend(records.map(|record| Said::new("", record.to_string())));
                if lookup.address().is_none() {
                    outcome = Some(match response.rcode {
                        Rcode::NOERROR => "NODATA".to_owned(),
                        rcode => rcode.to_string(),
                    });
                }
            }
            Err(trouble) => {
                step.said.push(Said::new("hears", format!("nothing: {}", trouble.symptom())));
                self.failure = Some(self.cast.lab().resolver(trouble, &resolver.name));
            }
        }
        step.failed = lookup.address().is_none();
        let whole = Span { begins: step.begins, micros: step.micros };
        self.steps.push(step);
        let walk = question.map(|(service, question)| self.walk(&service, &question)).unwrap_or_default();
        self.walked(&walk, &resolver, whole);
        if let Some(outcome) = outcome {
            let asked = walk.last().map(|told| self.asked(told));
            let asked = asked.as_ref().map(|(party, what)| (party, what.as_str()));
            self.failure = Some(self.cast.lab().answer(&lookup.name, &outcome, asked));
        }
    }

    /// What a resolver told of the question that came from `client`, and which.
    pub(super) fn question(&self, client: Option<SocketAddr>) -> Option<(String, Question)> {
        let client = client?;
        self.told.iter().rev().find_map(|told| match &told.what {
            What::Question(question) if question.client == client && told.service.starts_with("resolver") => {
                Some((told.service.clone(), question.clone()))
            }
            _ => None,
        })
    }

    /// Whom the resolver `service` asked for the answer to `question`: the steps of its walk.
    pub(super) fn walk(&self, service: &str, question: &Question) -> Vec<Told> {
        let Some(walk) = &question.walk else { return Vec::new() };
        let is_step = |told: &&Told| {
            told.service == service && matches!(&told.what, What::Asked { walk: of, .. } if of == walk)
        };
        self.told.iter().filter(is_step).take(STEPS_MOST / 2).cloned().collect()
    }

    /// Who was asked, and what came.
    pub(super) fn asked(&self, told: &Told) -> (Party, String) {
        match &told.what {
            What::Asked { step, .. } => (self.cast.at(step.server), step.outcome.clone()),
            _ => (self.cast.named("resolver"), String::new()),
        }
    }

    /// The resolver's questions inside `whole`.
    pub(super) fn walked(&mut self, walk: &[Told], resolver: &Party, whole: Span) {
        let steps = walk.iter().filter_map(|told| match &told.what {
            What::Asked { step, .. } => Some((told, step)),
            _ => None,
        });
        for (told, asked) in steps {
            let span = self.span(told.mono, asked.micros, whole);
            let mut step =
                step(Heading::Dns, 1, resolver.clone(), self.cast.at(asked.server), span.begins, span.micros);
            step.said = vec![
                Said::new("asks", format!("{} {}?", asked.name, asked.record_type)),
                Said::new("hears", asked.outcome.clone()),
            ];
            self.steps.push(step);
        }
    }
}

/// An answer in one line: code, flags, sections.
fn sections(response: &Response, bytes: usize) -> String {
    format!(
        "{}, flags {}; {} answer, {} authority, {} additional; {bytes} octets",
        response.rcode,
        response.flags,
        response.answers.len(),
        response.authorities.len(),
        response.additionals.len()
    )
}
