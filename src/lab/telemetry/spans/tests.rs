//! Whose parent is who, and what is said of each.

use proptest::prelude::*;

use super::*;
use crate::ground::bind::Transport;
use crate::ground::event::Moment;
use crate::lab::telemetry::gathering::Gathering;

const ID: &str = "0c5f8ec7f1f94e5db5b1c7c6ee8c5f11";

fn event(service: &str, mono: u64, what: Happened) -> Event {
    Event {
        when: Moment { at: 1_000 + mono / 1_000, mono },
        host: "server".into(),
        service: service.into(),
        what,
    }
}

fn cast() -> Cast {
    Cast { name_servers: vec![("127.0.0.3:53".parse().unwrap(), "root")], database: "sqlite" }
}

fn request(by: &str, status: u16, micros: u64, client: Option<(&str, &str)>) -> Happened {
    Happened::Request {
        client: "127.0.0.1:40000".parse().unwrap(),
        method: "GET".into(),
        secure: false,
        host: "www.foobar.com:8080".into(),
        target: "/guestbook?page=2".into(),
        status,
        by: by.into(),
        bytes: Some(7),
        micros,
        id: ID.into(),
        trace: client.map(|(trace, _)| trace.into()),
        parent: client.map(|(_, parent)| parent.into()),
    }
}

fn passed(status: Option<u16>) -> Happened {
    Happened::Passed {
        server: "127.0.0.1:3000".parse().unwrap(),
        method: "GET".into(),
        target: "/guestbook?page=2".into(),
        status,
        why: status.is_none().then(|| "it refuses connections".into()),
        connect_micros: Some(3),
        micros: 600,
        id: ID.into(),
    }
}

fn statement(id: Option<&str>) -> Happened {
    Happened::Statement {
        text: "select name\n  FROM entries".into(),
        returned: 2,
        changed: 0,
        micros: 100,
        id: id.map(str::to_owned),
    }
}

fn question(name: &str, mono: u64, micros: u64, walk: Option<&str>, service: &str) -> Event {
    let what = Happened::Question {
        client: "127.0.0.1:40001".parse().unwrap(),
        transport: Transport::Udp,
        id: 7,
        name: name.into(),
        record_type: "A".into(),
        class: "IN".into(),
        rcode: "NOERROR".into(),
        flags: "qr".into(),
        answers: 1,
        bytes: None,
        micros,
        cached: walk.map(|_| false),
        walk: walk.map(str::to_owned),
    };
    event(service, mono, what)
}

fn asked(mono: u64, micros: u64) -> Event {
    let step = WalkStep {
        server: "127.0.0.3:53".parse().unwrap(),
        name: "www.foobar.com.".into(),
        record_type: "A".into(),
        outcome: "referral to com.".into(),
        micros,
    };
    event("resolver", mono, Happened::Asked { walk: "00c0ffee00c0ffee".into(), step })
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// A page that the application makes.
fn page(client: Option<(&str, &str)>) -> Vec<Event> {
    vec![
        event("app", 1_400, statement(Some(ID))),
        event("app", 1_500, request("guestbook", 200, 500, None)),
        event("web", 1_600, passed(None)),
        event("web", 1_650, passed(Some(200))),
        event("web", 1_700, request("app", 200, 800, client)),
    ]
}

#[test]
fn a_page_is_one_tree_from_its_client_to_its_rows() {
    let client = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let spans = of(&page(Some(client)), &cast());
    let [statement, app, missed, passed, web] = &spans[..] else { panic!("{spans:#?}") };
    assert!(spans.iter().all(|span| span.trace == client.0));
    assert_eq!(web.parent.as_deref(), Some(client.1));
    assert_eq!((&missed.parent, &passed.parent), (&Some(web.id.clone()), &Some(web.id.clone())));
    assert_eq!(passed.id, ID[16..], "what the application reads in traceparent");
    assert_eq!(app.parent.as_ref(), Some(&passed.id));
    assert_eq!(statement.parent.as_ref(), Some(&app.id));
    assert_eq!(
        spans.iter().map(|span| span.kind == Kind::Server).collect::<Vec<_>>(),
        [false, true, false, false, true]
    );
    // Where one began is true to the microsecond, by the clock that they share.
    assert_eq!((statement.begins - web.begins, app.begins - web.begins, web.micros), (400, 100, 800));
    assert_eq!((missed.error.as_deref(), &passed.error), (Some("it refuses connections"), &None));
    assert_eq!(attribute(web, "url.path"), Some(&"/guestbook".into()));
    assert_eq!(attribute(web, "url.query"), Some(&"page=2".into()));
    assert_eq!(attribute(web, "server.port"), Some(&8080.into()));
    assert_eq!(attribute(statement, "db.query.text"), Some(&"select name FROM entries".into()));
    assert_eq!((statement.name.as_str(), web.name.as_str()), ("SELECT", "GET"));
    // Without a client's trace it goes by the request's identifier, and whoever answered first has no parent.
    let spans = of(&page(None), &cast());
    assert_eq!((spans[4].trace.as_str(), &spans[4].parent), (ID, &None));
    let alone = of(&page(None)[1..2], &cast());
    assert_eq!(alone[0].parent, None, "the application was asked directly");
}

#[test]
fn a_walk_is_one_tree_from_the_resolver_to_the_name_servers() {
    let walk = "00c0ffee00c0ffee";
    let mut gathering = Gathering::of(cast());
    // As they may come: the name server's word before its asker's.
    let heard = [
        question("WWW.foobar.com.", 1_210, 20, None, "root"),
        asked(1_220, 100),
        question("www.foobar.com.", 1_230, 20, None, "root"),
        question("www.foobar.com.", 1_300, 200, Some(walk), "resolver"),
        event("app", 1_300, statement(None)),
    ];
    let late = question("www.foobar.com.", 900_000, 20, None, "root");
    for (at, event) in heard.iter().chain([&late]).enumerate() {
        assert_eq!(gathering.hear(event, 10_000_000 + at as u64), 0);
    }
    assert_eq!(gathering.whole(11_000_000), [], "more may come");
    let alone = gathering.whole(12_500_000);
    assert_eq!(alone.iter().map(|span| span.service.as_str()).collect::<Vec<_>>(), ["app", "root"]);
    assert_ne!(alone[0].trace, alone[1].trace);
    let spans = gathering.whole(13_500_000);
    let [first, asked, second, question] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!((&question.parent, &asked.parent), (&None, &Some(question.id.clone())));
    assert_eq!((&first.parent, &second.parent), (&Some(asked.id.clone()), &Some(asked.id.clone())));
    assert!(spans.iter().all(|span| span.trace == question.trace));
    assert_eq!(attribute(question, "wwwlab.cache"), Some(&"miss".into()));
    assert_eq!((gathering.whole(99_000_000), gathering.rest()), (vec![], vec![]));
}

#[test]
fn what_never_ends_is_told_late_and_what_is_too_much_is_counted() {
    let mut gathering = Gathering::of(cast());
    assert_eq!(gathering.hear(&event("app", 1_000, statement(Some(ID))), 0), 0);
    assert_eq!(gathering.whole(50_000_000), []);
    assert_eq!(gathering.whole(60_000_000).len(), 1);
    let dropped: u64 = (0..10_000).map(|_| gathering.hear(&event("app", 1, statement(None)), 0)).sum();
    assert_eq!(gathering.rest().len() as u64 + dropped, 10_000);
    assert!(dropped > 0);
    assert_eq!(gathering.hear(&event("app", 1, statement(None)), 0), 0, "there is room again");
    assert_eq!(gathering.hear(&event("app", 1, Happened::Note { text: "x".into() }), 0), 0);
    assert_eq!(gathering.rest().len(), 1);
}

#[test]
fn errors_are_whose_fault_they_are() {
    let of_one = |what| of(&[event("web", 2_000, what)], &cast()).remove(0);
    assert_eq!(of_one(request("web", 404, 1, None)).error, None);
    assert_eq!(of_one(request("web", 502, 1, None)).error.as_deref(), Some("web answered 502"));
    let scheme = |what| {
        let attributes = of_one(what).attributes;
        attributes.into_iter().find(|(key, _)| *key == "url.scheme").map(|(_, value)| value)
    };
    assert_eq!(scheme(request("web", 200, 1, None)), Some("http".into()));
    let mut sealed = request("web", 200, 1, None);
    if let Happened::Request { secure, .. } = &mut sealed {
        *secure = true;
    }
    assert_eq!(scheme(sealed), Some("https".into()));
    assert_eq!(of_one(passed(Some(404))).error.as_deref(), Some("the application answered 404"));
}

proptest! {
    #[test]
    fn whatever_strangers_say_identifiers_are_identifiers(
        id in ".{0,40}", trace in proptest::option::of("[0-9a-fg]{0,33}"), host in ".{0,20}", target in ".{0,20}",
    ) {
        let what = Happened::Request {
            client: "127.0.0.1:1".parse().unwrap(),
            method: target.clone(),
            secure: false,
            host,
            target,
            status: 200,
            by: "app".into(),
            bytes: None,
            micros: u64::MAX,
            id: id.clone(),
            parent: trace.clone(),
            trace,
        };
        let events = [event("web", 5, what), event("app", 6, statement(Some(&id))), event("web", 7, passed(None))];
        for span in of(&events, &cast()) {
            prop_assert!(is_identifier(&span.trace, 32) && is_identifier(&span.id, 16), "{span:?}");
            prop_assert!(span.parent.as_ref().is_none_or(|parent| is_identifier(parent, 16)), "{span:?}");
        }
    }
}
