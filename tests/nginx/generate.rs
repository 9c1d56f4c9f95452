//! Requests from a seed: methods, targets, codings, conditions and ranges in all combinations.

use std::time::Duration;

use super::ask::Request;
use super::site::{FOLDER, written};

const METHODS: [&str; 5] = ["GET", "GET", "GET", "HEAD", "POST"];

/// Below [`FOLDER`].
const TARGETS: [&str; 24] = [
    "/empty.txt",
    "/short.txt",
    "/page.html",
    "/style.css",
    "/picture.png",
    "/large.bin",
    "/docs/",
    "/link.txt",
    "/short.txt?query",
    "/a%20b/caf%C3%A9.txt",
    "/%73hort.txt",
    "/docs",
    "/docs?a=b&c=//d",
    "/bare",
    "/bare/",
    "/nothing",
    "/nothing/",
    "/short.txt/",
    "/short.txt/x",
    "/.hidden",
    "/short%00.txt",
    "/..%2fx",
    "/%2e%2e/x",
    "/../assets/short.txt",
];

const CODINGS: [&str; 5] = ["gzip", "gzip;q=0", "br", "identity", "gzip;q=0.5, identity;q=0.1"];

const RANGES: [&str; 22] = [
    "bytes=0-0",
    "bytes=0-",
    "bytes=5-9",
    "bytes=-5",
    "bytes=-0",
    "bytes=-999999",
    "bytes=25-30",
    "bytes=26-",
    "bytes=9999999-",
    "bytes=0-99999999999999999999",
    "bytes=99999999999999999999-",
    "bytes=3-2",
    "bytes=a-b",
    "bytes=",
    "lines=0-1",
    "bytes=0-1,5-6",
    "bytes=5-6,0-1",
    "bytes=0-1,9999999-",
    "bytes=9999999-,8888888-",
    "bytes=0-4,2-6",
    "bytes=0-,0-",
    "bytes= 1-2 , 8-9",
];

const TAGS: [&str; 5] = ["{etag}", "\"x\"", "*", "\"x\", {etag}", "W/{etag}"];

/// A stream of numbers (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((number ^ (number >> 31)) >> 32).unwrap() % limit
    }

    fn one_of(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len())]
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// Every target once for each method and coding, then `count` drawn ones.
pub(crate) fn requests(seed: u64, count: u64) -> Vec<Request> {
    let mut requests = Vec::new();
    for target in TARGETS {
        for method in ["GET", "HEAD", "POST"] {
            requests.push(request(method, target, Vec::new()));
        }
        for range in RANGES {
            requests.push(request("GET", target, vec![("Range", range.to_owned())]));
        }
        for coding in CODINGS {
            requests.push(request("GET", target, vec![("Accept-Encoding", coding.to_owned())]));
        }
    }
    let mut chance = Chance(seed);
    requests.extend((0..count).map(|_| drawn(&mut chance)));
    requests
}

fn drawn(chance: &mut Chance) -> Request {
    let date = |chance: &mut Chance| match chance.below(4) {
        0 => "never".to_owned(),
        1 => httpdate::fmt_http_date(written() - Duration::from_secs(60)),
        2 => httpdate::fmt_http_date(written()),
        _ => httpdate::fmt_http_date(written() + Duration::from_secs(60)),
    };
    let mut headers = Vec::new();
    if chance.once_in(3) {
        headers.push(("Accept-Encoding", chance.one_of(&CODINGS).to_owned()));
    }
    if chance.once_in(2) {
        headers.push(("Range", chance.one_of(&RANGES).to_owned()));
        if chance.once_in(3) {
            let condition = if chance.once_in(2) { date(chance) } else { chance.one_of(&TAGS).to_owned() };
            headers.push(("If-Range", condition));
        }
    }
    for name in ["If-Match", "If-None-Match"] {
        if chance.once_in(5) {
            headers.push((name, chance.one_of(&TAGS).to_owned()));
        }
    }
    for name in ["If-Modified-Since", "If-Unmodified-Since"] {
        if chance.once_in(5) {
            headers.push((name, date(chance)));
        }
    }
    // Most are for files that are there: on what is not, conditions have no effect.
    let targets = if chance.once_in(4) { &TARGETS[..] } else { &TARGETS[..10] };
    request(chance.one_of(&METHODS), chance.one_of(targets), headers)
}

fn request(method: &'static str, target: &str, headers: Vec<(&'static str, String)>) -> Request {
    Request { method, target: format!("{FOLDER}{target}"), headers }
}
