//! What agreement is: status, the headers that matter, and the body.

use std::collections::BTreeMap;

use super::ask::{Answer, Request};
use super::differences::DIFFERENCES;
use super::server::Servers;

/// Differences that a failing test shows.
const SHOWN_MOST: usize = 25;

/// Headers that are to be the same, both ways.
const HEADERS: [&str; 8] = [
    "accept-ranges",
    "allow",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "last-modified",
    "location",
];

/// One request with its answers.
pub(crate) struct Case<'a> {
    pub(crate) request: &'a Request,
    pub(crate) ours: Answer,
    pub(crate) nginx: Answer,
}

/// Asks both everything; fails with all that no listed difference explains, and with what is listed for nothing.
pub(crate) fn judge(servers: &Servers, requests: &[Request]) {
    let mut unexplained = Vec::new();
    let mut used: BTreeMap<&str, usize> = DIFFERENCES.iter().map(|difference| (difference.why, 0)).collect();
    for request in requests {
        let case = Case { request, ours: request.ask(servers.ours), nginx: request.ask(servers.nginx) };
        if case.agrees() {
            continue;
        }
        match DIFFERENCES.iter().find(|difference| (difference.explains)(&case)) {
            Some(difference) => *used.entry(difference.why).or_default() += 1,
            None => {
                unexplained.push(format!("- {request}    ours: {}\n    nginx: {}", case.ours, case.nginx))
            }
        }
    }
    eprintln!("{} requests", requests.len());
    for (why, count) in &used {
        eprintln!("  {count} differ: {why}");
    }
    assert!(
        unexplained.is_empty(),
        "{} differences that are not listed:\n{}",
        unexplained.len(),
        unexplained[..unexplained.len().min(SHOWN_MOST)].join("\n")
    );
    let unused: Vec<_> = used.iter().filter(|(_, count)| **count == 0).collect();
    assert!(unused.is_empty(), "listed, and nowhere to be seen: {unused:?}");
}

impl Case<'_> {
    fn agrees(&self) -> bool {
        self.ours.status == self.nginx.status
            && (!matches!(self.ours.status, 200 | 206 | 304 | 416 | 301) || self.is_alike())
    }

    /// Whether headers and body are the same. The bodies of errors are each server's own, and their lengths.
    pub(crate) fn is_alike(&self) -> bool {
        let status = self.ours.status;
        let same = |name: &str| {
            let free = match name {
                "content-length" | "content-type" | "allow" => status >= 300,
                // A 206 says by itself that there are ranges.
                "accept-ranges" => status != 200,
                // It is of the representation that a 304 or an error is not.
                "content-encoding" => status >= 300,
                _ => false,
            };
            free || self.ours.header(name) == self.nginx.header(name)
        };
        if let (Some(ours), Some(nginx)) = (self.ours.parts(), self.nginx.parts()) {
            return ours == nginx;
        }
        HEADERS.iter().all(|name| same(name))
            && (status >= 300 || self.ours.body == self.nginx.body)
            && self.tags_alike()
    }

    /// Tags are each server's own text, but both or neither have one.
    fn tags_alike(&self) -> bool {
        self.ours.status == 416 || self.ours.header("etag").is_some() == self.nginx.header("etag").is_some()
    }
}
