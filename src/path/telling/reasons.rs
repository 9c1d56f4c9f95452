//! Why a step exists, in one sentence: what would be missing without it.

use crate::path::model::{Heading, Step};

/// Why `step` exists.
pub(super) fn why(step: &Step) -> String {
    let reason = match (step.heading, step.to.name.as_str()) {
        (Heading::Dns, name) if name.starts_with("resolver") => match step.cached {
            Some(true) => {
                "People remember names, machines are reached by addresses. The resolver remembers answers for as long as \
                 their TTL says, so that not everybody asks the root."
            }
            _ => {
                "People remember names, machines are reached by addresses: the resolver finds the address that a name \
                 has, on behalf of everybody who asks it."
            }
        },
        (Heading::Dns, "root") => {
            "Nobody knows all names: the root knows only who is responsible for each top-level domain."
        }
        (Heading::Dns, "tld") => {
            "The name server of com. knows only who is responsible for each domain in it."
        }
        (Heading::Dns, "dns" | "dns2") => {
            "The name server of the domain has the record itself: its owner decides what it says."
        }
        (Heading::Dns, _) => "A name server on the way to the record.",
        (Heading::Tcp, _) => {
            "Packets can be lost, doubled or overtaken: before anything is said, both sides agree where their streams of \
             bytes begin."
        }
        (Heading::Firewall, _) => "It lets through what is meant for the public, and nothing else.",
        (Heading::Tls, _) => {
            "Nobody on the way can read or change what is said, or pretend to be the server."
        }
        (Heading::Balancer, _) => {
            "Several servers stand behind one address: it chooses one of those that are well."
        }
        (Heading::Web, _) => {
            "One door for the whole site: it gives files itself, and passes on to the application what must be made."
        }
        (Heading::Application, _) => {
            "A page that differs from visitor to visitor is no file: a program, the code base, makes it at each request."
        }
        (Heading::Database, _) => {
            "What must outlive the request and be found again is kept by the database, not by the program."
        }
    };
    reason.into()
}
