//! Answers that are padded where their questions are (RFC 7830, RFC 8467): whoever sees only how long a message is does not learn
//! which name was asked for.
//!
//! It is between the transports and who answers, so that neither the resolver nor the name servers know of it; and DNS in the
//! clear has none, where it would hide nothing and make forged questions worth more (RFC 7830 §6).

use std::net::SocketAddr;

use crate::dns::message::padding;
use crate::services::streams::{Replies, Respond};

/// Has this one answer.
#[derive(Debug, Clone)]
pub(super) struct Padded<R>(pub(super) R);

impl<R: Respond> Respond for Padded<R> {
    fn respond(
        &self,
        question: &[u8],
        client: SocketAddr,
        mut replies: Replies,
    ) -> Option<impl Future<Output = ()> + Send + use<R>> {
        if padding::is_wanted(question) {
            replies.pad();
        }
        self.0.respond(question, client, replies)
    }
}
