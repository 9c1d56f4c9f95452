//! A path as an HTTP archive (HAR 1.2), which a browser's network panel opens.
//!
//! Of the page's content only its length and type are told, as a browser does that was asked to leave content out.

use serde_json::{Value, json};

use super::model::{Exchange, Heading, Path};
use crate::ground::clock;

/// The archive, with one entry; with none where nothing was answered.
pub fn archive(path: &Path) -> Value {
    let entries: Vec<Value> = path.exchange.iter().map(|exchange| entry(path, exchange)).collect();
    json!({
        "log": {
            "version": "1.2",
            "creator": { "name": "wwwlab", "version": env!("CARGO_PKG_VERSION") },
            "entries": entries,
            "comment": path.failure.as_ref().map_or("", |failure| failure.happened.as_str()),
        }
    })
}

fn entry(path: &Path, exchange: &Exchange) -> Value {
    let of_client = |heading| {
        let mut steps = path.steps.iter().filter(move |step| step.heading == heading && step.depth == 0);
        steps.next()
    };
    // −1 says that a phase does not apply.
    let phase = |heading| of_client(heading).map_or(-1.0, |step| millis(step.micros));
    let (dns, ssl) = (phase(Heading::Dns), phase(Heading::Tls));
    // The connection's time has that of TLS in it, as HAR 1.1 had no other place for that.
    let connect = phase(Heading::Tcp) + ssl.max(0.0);
    let (send, wait) = (millis(exchange.send_micros), millis(exchange.wait_micros));
    let receive = millis(exchange.receive_micros);
    // What is in no phase was waited for inside the client.
    let told = [dns, connect, send, wait, receive].iter().filter(|phase| **phase > 0.0).sum::<f64>();
    let blocked = (millis(path.micros) - told).max(0.0);
    let server = of_client(Heading::Web).and_then(|step| step.to.address);
    let client = of_client(Heading::Web).and_then(|step| step.from.address);
    let mime = exchange.header("content-type").unwrap_or_default();
    json!({
        "startedDateTime": clock::rfc3339(path.began),
        "time": blocked + told,
        "request": {
            "method": exchange.method,
            "url": path.asked,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": headers(&exchange.request_headers),
            "queryString": query(&exchange.target),
            "headersSize": -1,
            "bodySize": 0,
        },
        "response": {
            "status": exchange.status,
            "statusText": exchange.reason,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": headers(&exchange.response_headers),
            "content": { "size": exchange.body_bytes, "mimeType": mime },
            "redirectURL": exchange.header("location").unwrap_or_default(),
            "headersSize": -1,
            "bodySize": exchange.body_bytes,
        },
        "cache": {},
        "timings": {
            "blocked": blocked,
            "dns": dns,
            "connect": connect,
            "ssl": ssl,
            "send": send,
            "wait": wait,
            "receive": receive,
        },
        "serverIPAddress": server.map(|address| address.ip().to_string()).unwrap_or_default(),
        "connection": client.map(|address| address.port().to_string()).unwrap_or_default(),
    })
}

fn headers(headers: &[(String, String)]) -> Vec<Value> {
    headers.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn query(target: &str) -> Vec<Value> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn millis(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::super::model::example;
    use super::*;

    #[test]
    fn the_phases_make_up_the_time() {
        let archive = archive(&example::page());
        let entry = &archive["log"]["entries"][0];
        let timings = entry["timings"].as_object().unwrap();
        let sum: f64 = timings.values().filter_map(Value::as_f64).filter(|phase| *phase > 0.0).sum();
        assert!(
            (sum - 1.0).abs() < 0.001 && (entry["time"].as_f64().unwrap() - sum).abs() < 0.001,
            "{entry}"
        );
        assert_eq!(
            (entry["timings"]["dns"].as_f64(), entry["timings"]["ssl"].as_f64()),
            (Some(0.4), Some(-1.0))
        );
        assert_eq!(entry["serverIPAddress"], "127.0.0.1");
        assert_eq!(entry["startedDateTime"], "2026-11-21T19:15:00.123Z");
    }

    #[test]
    fn the_handshake_is_a_part_of_the_connection() {
        let archive = archive(&example::secure());
        let entry = &archive["log"]["entries"][0];
        let millis = |phase: &str| entry["timings"][phase].as_f64().unwrap();
        assert!((millis("ssl") - 0.06).abs() < 1e-9 && (millis("connect") - 0.12).abs() < 1e-9, "{entry}");
        let phases = ["blocked", "dns", "connect", "send", "wait", "receive"].map(millis);
        assert!((phases.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{entry}");
        assert_eq!(entry["request"]["url"], "https://www.foobar.com/guestbook");
    }

    #[test]
    fn a_request_without_an_answer_has_no_entry() {
        let archive = archive(&example::failed());
        assert_eq!(archive["log"]["entries"], json!([]));
        assert!(archive["log"]["comment"].as_str().unwrap().contains("Nobody listens"));
    }

    #[test]
    fn a_query_is_told_in_its_parts() {
        assert_eq!(
            query("/a?b=c&d"),
            [json!({"name": "b", "value": "c"}), json!({"name": "d", "value": ""})]
        );
        assert!(query("/a").is_empty());
    }
}
