//! Paths told of what could have been seen and told.

use serde_json::{Value, json};

use super::page::timing;
use super::*;
use crate::dns::message::Flags;
use crate::dns::message::asked::{Data, Record, Response};
use crate::dns::types::{Rcode, RecordType};
use crate::ground::event::Event;
use crate::ground::tls::Agreed;
use crate::path::account::Account;
use crate::path::asking::{Answered, Connected, Doubt, Lookup, Target, Timed, Trouble};
use crate::path::model::{Certificate, Exchange, Tls};

const CLIENT: &str = "127.0.0.1:40000";

fn cast() -> Cast {
    let party = |(name, address): (&str, &str)| Party {
        name: name.into(),
        host: Some("host".into()),
        address: address.parse().ok(),
    };
    let parties = [
        ("resolver", "127.0.0.2:53"),
        ("root", "127.0.0.3:53"),
        ("dns", "127.0.0.1:53"),
        ("web", "127.0.0.1:80"),
        ("app", "127.0.0.1:3000"),
        ("db", ""),
    ];
    Cast {
        parties: parties.map(party).to_vec(),
        https: Vec::new(),
        firewalls: Vec::new(),
        program: "wwwlab".into(),
    }
}

fn looked_up(rcode: Rcode, has_address: bool) -> Lookup {
    let name: crate::dns::name::Name = "www.foobar.com".parse().unwrap();
    let record = Record {
        name: name.clone(),
        record_type: RecordType::A,
        ttl: 300,
        data: Data::Ipv4([127, 0, 0, 1].into()),
    };
    let response = Response {
        id: 7,
        flags: Flags(Flags::QR | Flags::RD | Flags::RA),
        rcode,
        question: Some((name, RecordType::A)),
        answers: if has_address { vec![record] } else { Vec::new() },
        authorities: Vec::new(),
        additionals: Vec::new(),
        edns: true,
    };
    Lookup {
        name: "www.foobar.com.".into(),
        resolver: "127.0.0.2:53".parse().unwrap(),
        from: CLIENT.parse().ok(),
        question_bytes: 43,
        begins: 10,
        micros: 400,
        answered: Ok(Answered { response, bytes: 59 }),
    }
}

fn answer(status: u16, timing: &str) -> Exchange {
    Exchange {
        method: "GET".into(),
        target: "/guestbook".into(),
        request_headers: Vec::new(),
        status,
        reason: "OK".into(),
        response_headers: vec![
            ("server-timing".into(), timing.into()),
            ("x-request-id".into(), "abc".into()),
        ],
        body_bytes: 9,
        send_micros: 5,
        wait_micros: 400,
        receive_micros: 20,
    }
}

/// A request that took a millisecond; its look-up, connection and exchange as far as they are given.
fn seen(
    lookup: Lookup,
    connected: Option<Result<(), Trouble>>,
    exchange: Option<Result<Exchange, Trouble>>,
) -> Seen {
    let connected = connected.map(|result| Timed {
        begins: 430,
        micros: 50,
        result: result.map(|()| Connected { from: CLIENT.parse().unwrap(), kernel: None }),
    });
    Seen {
        target: Target::read("http://www.foobar.com/guestbook", 80, 443).unwrap(),
        began: 1_000,
        trace: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
        server: connected.as_ref().map(|_| "127.0.0.1:80".parse().unwrap()),
        lookup: Some(lookup),
        connection: connected,
        handshake: None,
        exchange: exchange.map(|result| Timed { begins: 500, micros: 450, result }),
        micros: 1_000,
    }
}

fn told(events: &[Value]) -> Vec<Told> {
    let read = |event: &Value| {
        let mut event = event.clone();
        // What no path looks at; and when it was over, where a test does not care.
        for (key, value) in
            [("on", json!("host")), ("mono", json!(0)), ("transport", json!("udp")), ("class", json!("IN"))]
        {
            event.as_object_mut().unwrap().entry(key).or_insert(value);
        }
        if event["event"] == "question" {
            event["id"] = 7.into();
        }
        let event: Event = serde_json::from_value(event).unwrap();
        Told::of(event).unwrap()
    };
    events.iter().map(read).collect()
}

fn question(cached: bool) -> Value {
    json!({"at": 1000, "service": "resolver", "event": "question", "client": CLIENT, "name": "www.foobar.com.",
        "type": "A", "rcode": "NOERROR", "flags": "qr rd ra", "answers": 1, "micros": 350, "cached": cached,
        "walk": (!cached).then_some("a")})
}

fn asks(server: &str, outcome: &str, micros: u64) -> Value {
    json!({"at": 1000, "service": "resolver", "event": "asked", "walk": "a", "server": server, "name": "com.", "type": "NS",
        "outcome": outcome, "micros": micros})
}

fn request(service: &str, by: &str, status: u16, micros: u64) -> Value {
    json!({"at": 1000, "service": service, "event": "request", "client": CLIENT, "method": "GET",
        "host": "www.foobar.com", "target": "/guestbook", "status": status, "by": by, "micros": micros, "id": "abc"})
}

fn at(mut event: Value, mono: u64) -> Value {
    event["mono"] = mono.into();
    event
}

fn of_walk(mut event: Value, walk: &str) -> Value {
    event["walk"] = walk.into();
    event
}

fn of(path: &Path, heading: Heading) -> Vec<&Step> {
    path.steps.iter().filter(|step| step.heading == heading).collect()
}

#[test]
fn a_page_is_told_with_all_that_was_asked_for_it() {
    let told = told(&[
        // The walk of a question before this one.
        of_walk(at(asks("127.0.0.1:53", "NOERROR", 9), 49_000), "b"),
        json!({"at": 999, "service": "resolver", "event": "question", "client": "127.0.0.1:1", "name": "x.", "type": "A",
            "rcode": "NOERROR", "flags": "qr", "answers": 1, "micros": 10, "cached": false, "walk": "b"}),
        at(asks("127.0.0.3:53", "referral to com.", 100), 50_150),
        at(asks("127.0.0.1:53", "NOERROR, 1 answer", 80), 50_250),
        at(question(false), 50_390),
        at(request("app", "guestbook", 200, 300), 50_900),
        at(request("web", "app", 200, 380), 50_920),
    ]);
    let seen = seen(
        looked_up(Rcode::NOERROR, true),
        Some(Ok(())),
        Some(Ok(answer(200, "web;dur=0.08, app;dur=0.1, db;dur=0.2"))),
    );
    let path = tell(&seen, &told, 50_000, &cast());
    assert_eq!(path.failure, None);
    let names = of(&path, Heading::Dns);
    let whom: Vec<&str> = names.iter().map(|step| step.to.name.as_str()).collect();
    assert_eq!(whom, ["resolver", "root", "dns"]);
    assert_eq!(
        [(names[1].begins, names[1].ends()), (names[2].begins, names[2].ends())],
        [(50, 150), (170, 250)]
    );
    assert_eq!(names[0].cached, Some(false));
    let (app, db) = (of(&path, Heading::Application)[0], of(&path, Heading::Database)[0]);
    assert_eq!((app.micros, db.micros), (300, 200));
    assert!(500 <= app.begins && app.begins <= db.begins && db.ends() <= app.ends() && app.ends() <= 950);
    let absent: Vec<Heading> = path.absent.iter().map(|absent| absent.heading).collect();
    assert_eq!(absent, [Heading::Firewall, Heading::Tls, Heading::Balancer]);
    assert!(path.steps.iter().all(|step| !step.why.is_empty()));
    let account = Account::of(&path);
    assert_eq!((account.gap(), account.heading(Heading::Database)), (100, 200));
    assert_eq!(path.request.as_deref(), Some("abc"));
}

#[test]
fn what_is_told_with_its_moment_lies_where_it_was() {
    let statement = json!({"at": 1000, "service": "app", "event": "statement", "text": "SELECT *\n  FROM t",
        "returned": 3, "changed": 0, "micros": 40, "id": "abc"});
    let passed = json!({"at": 1000, "service": "web", "event": "passed", "server": "127.0.0.1:3000", "method": "GET",
        "target": "/guestbook", "status": 200, "connect_micros": 20, "micros": 310, "id": "abc"});
    let told = told(&[
        of_walk(at(asks("127.0.0.3:53", "of another walk", 5), 50_100), "b"),
        at(asks("127.0.0.3:53", "referral to com.", 100), 50_200),
        at(question(false), 50_400),
        at(statement, 50_700),
        at(request("app", "guestbook", 200, 280), 50_880),
        at(passed, 50_900),
        at(request("web", "app", 200, 380), 50_910),
    ]);
    let seen = seen(looked_up(Rcode::NOERROR, true), Some(Ok(())), Some(Ok(answer(200, "web;dur=0.08"))));
    let path = tell(&seen, &told, 50_000, &cast());
    let names = of(&path, Heading::Dns);
    assert_eq!((names.len(), names[1].begins, names[1].placed), (2, 100, false));
    let (app, db) = (of(&path, Heading::Application)[0], of(&path, Heading::Database)[0]);
    assert_eq!((app.begins, app.micros, db.begins, db.micros), (590, 310, 660, 40));
    assert_eq!(db.said[0], Said::new("SQL", "SELECT * FROM t"));
    assert!(app.said.iter().any(|said| said.words.contains("in 20 µs")), "{app:?}");
    assert_eq!(app.to.address, "127.0.0.1:3000".parse().ok());
    assert_eq!(path.notes, [""; 0]);
}

#[test]
fn a_file_is_told_without_an_application() {
    let told = told(&[question(true), request("web", "file", 200, 90)]);
    let seen = seen(looked_up(Rcode::NOERROR, true), Some(Ok(())), Some(Ok(answer(200, "web;dur=0.09"))));
    let path = tell(&seen, &told, 0, &cast());
    assert_eq!(of(&path, Heading::Dns).len(), 1);
    assert_eq!(path.steps[0].cached, Some(true));
    assert!(path.steps[0].why.contains("TTL"));
    let because =
        |heading| path.absent.iter().find(|absent| absent.heading == heading).unwrap().because.clone();
    assert!(because(Heading::Application).contains("file of the site"));
    assert_eq!(because(Heading::Database), "not asked");
}

#[test]
fn a_failure_ends_the_path_where_it_was() {
    let ended = |path: &Path| {
        let failure = path.failure.clone().unwrap();
        let failed: Vec<Heading> =
            path.steps.iter().filter(|step| step.failed).map(|step| step.heading).collect();
        (failure.heading, failure.component, failure.symptom, failed)
    };
    let servfail = told(&[asks("127.0.0.1:53", "nobody listens there", 50), question(false)]);
    let path = tell(&seen(looked_up(Rcode::SERVFAIL, false), None, None), &servfail, 0, &cast());
    assert_eq!(ended(&path), (Heading::Dns, "dns".into(), "SERVFAIL".into(), vec![Heading::Dns]));
    assert_eq!(path.absent.len(), 7);

    let nodata = tell(&seen(looked_up(Rcode::NOERROR, false), None, None), &[], 0, &cast());
    assert_eq!(nodata.failure.unwrap().symptom, "NODATA");

    let refused = seen(looked_up(Rcode::NOERROR, true), Some(Err(Trouble::Refused)), None);
    let path = tell(&refused, &[], 0, &cast());
    assert_eq!(ended(&path), (Heading::Tcp, "web server".into(), "refused".into(), vec![Heading::Tcp]));

    let mut elsewhere = seen(looked_up(Rcode::NOERROR, true), Some(Err(Trouble::Refused)), None);
    elsewhere.server = "127.0.0.1:81".parse().ok();
    let failure = tell(&elsewhere, &[], 0, &cast()).failure.unwrap();
    assert_eq!((failure.heading, failure.component.as_str()), (Heading::Tcp, "the address"));
    assert!(failure.happened.contains("port 80, not 81"), "{failure:?}");
    elsewhere.server = "127.0.0.9:80".parse().ok();
    let failure = tell(&elsewhere, &[], 0, &cast()).failure.unwrap();
    assert!(failure.next.iter().any(|next| next.ends_with("dig www.foobar.com")), "{failure:?}");

    let bad = seen(looked_up(Rcode::NOERROR, true), Some(Ok(())), Some(Ok(answer(502, "web;dur=0.05"))));
    let tries = ["127.0.0.1:3001", "127.0.0.1:3000"].map(|server| {
        json!({"at": 1000, "service": "web", "event": "passed", "server": server, "method": "GET", "target": "/",
            "why": format!("{server} refuses connections"), "micros": 9, "id": "abc"})
    });
    let events = told(&[tries[0].clone(), tries[1].clone(), request("web", "web", 502, 120)]);
    let path = tell(&bad, &events, 0, &cast());
    assert!(path.failure.unwrap().happened.contains("127.0.0.1:3000 refuses"), "the last that was tried");

    let silent = seen(looked_up(Rcode::NOERROR, true), Some(Ok(())), Some(Err(Trouble::Silent(15_000))));
    let path = tell(&silent, &[], 0, &cast());
    assert_eq!(ended(&path), (Heading::Web, "web server".into(), "timeout".into(), vec![Heading::Web]));

    let bad = seen(looked_up(Rcode::NOERROR, true), Some(Ok(())), Some(Ok(answer(502, "web;dur=0.05"))));
    let path = tell(&bad, &told(&[request("web", "web", 502, 120)]), 0, &cast());
    let (heading, component, symptom, failed) = ended(&path);
    assert_eq!(
        (heading, component.as_str(), symptom.as_str()),
        (Heading::Application, "application server", "502")
    );
    assert_eq!(failed, [Heading::Application]);

    let unavailable = seen(
        looked_up(Rcode::NOERROR, true),
        Some(Ok(())),
        Some(Ok(answer(503, "app;dur=0.05, db;dur=0.2"))),
    );
    let events = told(&[request("web", "app", 503, 380), request("app", "error", 503, 300)]);
    let path = tell(&unavailable, &events, 0, &cast());
    assert_eq!(ended(&path), (Heading::Database, "database".into(), "503".into(), vec![Heading::Database]));
}

#[test]
fn the_last_request_is_told_with_the_look_up_before_it() {
    let events = told(&[
        at(asks("127.0.0.3:53", "referral to com.", 100), 10_200),
        at(question(false), 10_400),
        at(request("app", "guestbook", 200, 300), 30_850),
        at(request("web", "app", 200, 400), 30_900),
    ]);
    let path = tell_last(&events, &cast()).unwrap();
    assert_eq!((path.watched, path.asked.as_str()), (Watched::ByServices, "http://www.foobar.com/guestbook"));
    assert_eq!(path.micros, 20_850, "from the question to the answer");
    assert_eq!(of(&path, Heading::Dns).len(), 2);
    let web = of(&path, Heading::Web)[0];
    assert_eq!((web.begins, web.ends()), (20_450, 20_850));
    assert_eq!(Account::of(&path).gaps, [(350, 20_100)]);

    let path = tell_last(&events[..2], &cast()).unwrap();
    assert_eq!((path.asked.as_str(), path.micros, path.steps.len()), ("www.foobar.com. A", 350, 2));

    // What a resolver asks a name server is no dig; what somebody else asks it is one.
    let mut asked = question(false);
    for (key, value) in [("service", "root"), ("name", "com."), ("type", "NS")] {
        asked[key] = value.into();
    }
    let last = |asked: &Value| {
        let events = [events.clone(), told(&[at(asked.clone(), 40_000)])].concat();
        tell_last(
            &events[..].iter().filter(|told| told.service != "web").cloned().collect::<Vec<_>>(),
            &cast(),
        )
        .unwrap()
        .asked
    };
    assert_eq!(last(&asked), "www.foobar.com. A");
    asked["name"] = "net.".into();
    assert_eq!(last(&asked), "net. NS");
    assert_eq!(tell_last(&events[..1], &cast()).unwrap_err(), NothingSeen);
}

/// The same request by HTTPS, whose handshake ended so.
fn seen_by_https(trouble: Option<Trouble>) -> Seen {
    let mut seen = seen(looked_up(Rcode::NOERROR, true), Some(Ok(())), Some(Ok(answer(200, "web;dur=0.09"))));
    seen.target = Target::read("https://www.foobar.com/guestbook", 80, 443).unwrap();
    seen.server = "127.0.0.1:443".parse().ok();
    let certificate = |subject: &str| Certificate {
        subject: subject.into(),
        issuer: "CN=The lab".into(),
        names: vec!["www.foobar.com".into()],
        from: 1_795_288_500,
        until: 1_797_880_500,
        serial: "5B:0C".into(),
    };
    let agreed = Agreed {
        version: "TLSv1.3".into(),
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        alpn: Some("http/1.1".into()),
        resumed: false,
    };
    let tls = Tls {
        sni: Some("www.foobar.com".into()),
        agreed: trouble.is_none().then_some(agreed),
        chain: vec![certificate("CN=www.foobar.com")],
        trusted: Some(certificate("CN=The lab")),
    };
    if trouble.is_some() {
        seen.exchange = None;
    }
    seen.handshake = Some(Timed { begins: 482, micros: 15, result: (tls, trouble) });
    seen
}

#[test]
fn a_handshake_is_a_step_between_connection_and_request() {
    let cast = Cast { https: vec!["127.0.0.1:443".parse().unwrap()], ..cast() };
    let path = tell(&seen_by_https(None), &told(&[request("web", "file", 200, 90)]), 0, &cast);
    let tls = of(&path, Heading::Tls)[0];
    assert_eq!((tls.begins, tls.micros, tls.to.name.as_str(), tls.failed), (482, 15, "web", false));
    let said: Vec<String> = tls.said.iter().map(|said| format!("{} {}", said.by, said.words)).collect();
    assert_eq!(said[0], "asks ClientHello: TLS 1.3 or 1.2, SNI www.foobar.com, ALPN http/1.1");
    assert_eq!(said[1], "hears TLSv1.3, TLS_AES_256_GCM_SHA384, ALPN http/1.1; a new session, not resumed");
    assert_eq!(
        said[2],
        "shown CN=www.foobar.com, issued by CN=The lab, valid 2026-11-21 19:15 UTC to 2026-12-21 19:15 UTC, for \
         www.foobar.com"
    );
    assert!(said[3].starts_with("trusts certs/ca.pem: CN=The lab, issued by itself, valid"), "{said:?}");
    assert_eq!(of(&path, Heading::Web)[0].to.address, "127.0.0.1:443".parse().ok());
    let account = Account::of(&path);
    assert_eq!(account.heading(Heading::Tls), 15);
    assert_eq!(account.steps.iter().sum::<u64>() + account.gap(), path.micros);
    assert!(path.absent.iter().all(|absent| absent.heading != Heading::Tls));
}

#[test]
fn a_handshake_that_fails_ends_the_path() {
    let doubted = seen_by_https(Some(Trouble::Doubted(Doubt::Expired)));
    let secure = Cast { https: vec!["127.0.0.1:443".parse().unwrap()], ..cast() };
    let path = tell(&doubted, &[], 0, &secure);
    let failure = path.failure.unwrap();
    assert_eq!((failure.heading, failure.component.as_str()), (Heading::Tls, "the certificate"));
    assert!(path.absent.iter().any(|absent| absent.heading == Heading::Web), "the request was not sent");
    // Somebody else's server, where the lab has none or has it elsewhere.
    let failure = tell(&doubted, &[], 0, &cast()).failure.unwrap();
    assert!(failure.happened.contains("no HTTPS") && failure.heading == Heading::Tls, "{failure:?}");
    let elsewhere = Cast { https: vec!["127.0.0.1:8443".parse().unwrap()], ..cast() };
    let failure = tell(&doubted, &[], 0, &elsewhere).failure.unwrap();
    assert!(failure.happened.contains("port 8443, not 443"), "{failure:?}");
}

#[test]
fn the_last_request_by_https_is_told_with_its_handshake() {
    let mut asked = at(request("web", "file", 200, 400), 30_900);
    asked["secure"] = true.into();
    let shaken = json!({"at": 1000, "service": "web", "event": "handshake", "client": CLIENT, "server": "127.0.0.1:443",
        "sni": "www.foobar.com", "micros": 300,
        "agreed": {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "alpn": "h2", "resumed": true}});
    let path = tell_last(&told(&[at(shaken, 30_450), asked.clone()]), &cast()).unwrap();
    assert_eq!((path.asked.as_str(), path.micros), ("https://www.foobar.com/guestbook", 750));
    let tls = of(&path, Heading::Tls)[0];
    assert_eq!((tls.begins, tls.ends()), (0, 300));
    assert!(tls.said[1].words.ends_with("an earlier session resumed"), "{tls:?}");
    let path = tell_last(&told(&[asked]), &cast()).unwrap();
    assert!(path.absent.iter().any(|absent| absent.because.contains("long before")), "{path:?}");
}

#[test]
fn a_timing_is_read_or_nothing() {
    let of = |text: &str, name| timing(&answer(200, text), name);
    assert_eq!(of("web;dur=0.08, app;dur=1.5", "app"), Some(1_500));
    for timing in ["", "app", "app;dur=", "app;dur=x", "app;dur=NaN", "application;dur=1"] {
        assert!(of(timing, "app").is_none_or(|micros| micros == 0), "{timing}");
    }
    assert_eq!(of("app;dur=1e300", "app"), Some(900_000_000));
}
