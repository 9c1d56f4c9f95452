//! The TLS handshake: what was shown and agreed on, and whether it was believed.

use super::{Span, Teller, Told, client, step};
use crate::ground::clock;
use crate::ground::tls::{Agreed, Shaken};
use crate::path::asking::Seen;
use crate::path::model::{Certificate, Heading, Said};

/// Why there is no handshake with `http://`.
pub(super) const NOT_ASKED_FOR: &str =
    "not asked for: http:// is not encrypted, and whoever carries the bytes can read and change them";

impl Teller<'_> {
    /// The handshake, as the client saw it.
    pub(super) fn handshake(&mut self, seen: &Seen) {
        if !seen.target.secure {
            return self.lacks(Heading::Tls, NOT_ASKED_FOR);
        }
        let (Some(handshake), Some(server)) = (&seen.handshake, seen.server) else {
            return self
                .lacks(Heading::Tls, "not reached: there is no connection that could be made private");
        };
        let from = self.steps.last().and_then(|step| step.from.address);
        let (tls, trouble) = &handshake.result;
        let mut step =
            step(Heading::Tls, 0, client(from), self.web(server), handshake.begins, handshake.micros);
        let sni = match &tls.sni {
            Some(name) => format!("SNI {name}"),
            None => "no SNI, since the URL has an address".into(),
        };
        step.said.push(Said::new("asks", format!("ClientHello: TLS 1.3 or 1.2, {sni}, ALPN http/1.1")));
        let heard = match (&tls.agreed, trouble) {
            (Some(agreed), _) => agreed_on(agreed),
            (None, Some(trouble)) if tls.chain.is_empty() => format!("no handshake: {}", trouble.symptom()),
            (None, _) => "a certificate".into(),
        };
        step.said.push(Said::new("hears", heard));
        step.said.extend(tls.chain.iter().map(|shown| Said::new("shown", says(shown))));
        step.said.push(match &tls.trusted {
            Some(authority) => Said::new("trusts", format!("certs/ca.pem: {}", says(authority))),
            None => Said::new("trusts", "nobody: the lab has no authority yet"),
        });
        if let Some(trouble) = trouble {
            step.failed = true;
            if !tls.chain.is_empty() {
                step.said.push(Said::new("ends", trouble.symptom()));
            }
            let lab = self.cast.lab();
            self.failure = Some(match self.door(true, server) {
                _ if self.cast.https.is_empty() => lab.unsecured(Heading::Tls, trouble, server),
                Some(web) => {
                    let elsewhere = lab.elsewhere(trouble, server, web, &seen.target.host);
                    crate::path::model::Failure { heading: Heading::Tls, ..elsewhere }
                }
                None => lab.handshake(trouble),
            });
        }
        self.steps.push(step);
    }

    /// The handshake, as the web server tells it.
    pub(super) fn shaken(&mut self, told: &Told, shaken: &Shaken) {
        let begins = told.mono.saturating_sub(shaken.micros).saturating_sub(self.began);
        let span = Span { begins, micros: shaken.micros };
        let web = self.cast.at(shaken.server);
        let mut step = step(Heading::Tls, 0, client(Some(shaken.client)), web, span.begins, span.micros);
        let sni = shaken.sni.as_deref().map_or_else(|| "no SNI".to_owned(), |name| format!("SNI {name}"));
        step.said.push(Said::new("asks", format!("ClientHello: {sni}")));
        if let Some(agreed) = &shaken.agreed {
            step.said.push(Said::new("hears", agreed_on(agreed)));
        }
        self.steps.push(step);
    }
}

fn agreed_on(agreed: &Agreed) -> String {
    let alpn = agreed.alpn.as_deref().map(|alpn| format!(", ALPN {alpn}")).unwrap_or_default();
    let session = if agreed.resumed { "an earlier session resumed" } else { "a new session, not resumed" };
    format!("{}, {}{alpn}; {session}", agreed.version, agreed.cipher)
}

/// What a certificate says, in one line.
fn says(certificate: &Certificate) -> String {
    let Certificate { subject, issuer, names, from, until, serial: _ } = certificate;
    let names = if names.is_empty() { String::new() } else { format!(", for {}", names.join(", ")) };
    let issuer = if subject == issuer { "itself" } else { issuer };
    format!("{subject}, issued by {issuer}, valid {} to {}{names}", minute(*from), minute(*until))
}

/// `2026-11-21 19:15 UTC`.
fn minute(seconds: u64) -> String {
    let time = clock::rfc3339(seconds.saturating_mul(1000));
    format!("{} {} UTC", time.get(..10).unwrap_or_default(), time.get(11..16).unwrap_or_default())
}
