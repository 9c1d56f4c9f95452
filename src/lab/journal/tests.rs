//! The journal by itself: order, bounds, what is found, what a slow watcher loses.

use std::fs;

use super::*;

struct Stand {
    directory: tempfile::TempDir,
    journal: Journal,
}

impl Stand {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(&directory.path().join("journal.jsonl")).unwrap();
        Self { directory, journal }
    }

    fn hear(&self, mono: u64, service: &str, what: Happened) {
        let (host, service) = ("server".into(), service.into());
        self.journal.hear(Entry::of(Event { when: Moment { at: 0, mono }, host, service, what }));
    }

    fn found(&self, wanted: &Wanted) -> Vec<u64> {
        self.journal.find(wanted).0.iter().map(|event| event.when.mono).collect()
    }

    fn on_disk(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.directory.path().join("journal.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str::<Event>(line).unwrap().when.mono).collect()
    }
}

fn note(text: &str) -> Happened {
    Happened::Note { text: text.into() }
}

fn request(client: &str, id: &str) -> Happened {
    Happened::Request {
        client: client.parse().unwrap(),
        method: "GET".into(),
        secure: false,
        host: "www.foobar.com".into(),
        target: "/".into(),
        status: 200,
        by: "app".into(),
        bytes: None,
        micros: 1,
        id: id.into(),
        trace: None,
        parent: None,
    }
}

fn connected(client: &str) -> Happened {
    let (client, server) = (client.parse().unwrap(), "127.0.0.1:80".parse().unwrap());
    Happened::Connected { client, server, open: 1 }
}

fn statement(id: &str) -> Happened {
    Happened::Statement { text: "SELECT 1".into(), returned: 1, changed: 0, micros: 1, id: Some(id.into()) }
}

fn of(id: &str) -> Wanted {
    Wanted { request: Some(Which::Of(id.into())), ..Wanted::default() }
}

#[test]
fn what_comes_late_takes_its_place() {
    let stand = Stand::new();
    for mono in [10, 30, 20, 5] {
        stand.hear(mono, "web", note("x"));
    }
    assert_eq!(stand.found(&Wanted::default()), [5, 10, 20, 30]);
    assert!(stand.on_disk().is_empty(), "nothing is old enough: no clock is needed to know that");
    stand.journal.kept().write_up_to(20);
    assert_eq!(stand.on_disk(), [5, 10, 20]);
    // What is written stays where it is.
    stand.hear(7, "web", note("too late"));
    stand.journal.close();
    assert_eq!(stand.on_disk(), [5, 10, 20, 7, 30]);
    assert_eq!(stand.found(&Wanted { since: 20, ..Wanted::default() }), [20, 30]);
}

#[test]
fn settling_writes_the_old_and_keeps_the_young_back() {
    let stand = Stand::new();
    let now = Moment::now().mono;
    stand.hear(now.saturating_sub(2 * SETTLED_MICROS), "web", note("old"));
    stand.hear(now + SETTLED_MICROS, "web", note("young"));
    stand.journal.settle();
    assert_eq!(stand.on_disk().len(), 1);
}

#[test]
fn what_is_too_much_is_forgotten_in_memory_but_not_on_disk() {
    let stand = Stand::new();
    let count = KEPT_MOST + 3;
    for mono in 0..count as u64 {
        stand.hear(mono, "web", note("x"));
    }
    assert_eq!(stand.journal.kept().entries.len(), KEPT_MOST);
    stand.journal.close();
    assert_eq!(stand.on_disk(), (0..count as u64).collect::<Vec<_>>());
    // By length as well.
    for mono in 0..9 {
        stand.hear(count as u64 + mono, "web", note(&"x".repeat(KEPT_BYTES / 8)));
        let kept = stand.journal.kept();
        assert!(kept.bytes <= KEPT_BYTES);
        assert_eq!(kept.bytes, kept.entries.iter().map(|entry| entry.json.len()).sum::<usize>());
    }
    assert!((1..8).contains(&stand.journal.kept().entries.len()));
    let (events, left_out) = stand.journal.find(&Wanted::default());
    assert_eq!((events.len(), left_out), (0, stand.journal.kept().entries.len()), "not one fits an answer");
}

#[test]
fn an_answer_holds_the_last_that_fit() {
    let stand = Stand::new();
    for mono in 0..20 {
        stand.hear(mono, "web", note(&"x".repeat(ANSWERED_BYTES / 10)));
    }
    let (events, left_out) = stand.journal.find(&Wanted::default());
    assert_eq!(events.len() + left_out, 20);
    assert_eq!(events.last().unwrap().when.mono, 19);
    let length = serde_json::to_string(&events).unwrap().len();
    assert!((ANSWERED_BYTES / 2..=ANSWERED_BYTES).contains(&length), "{length}");
}

#[test]
fn a_request_is_found_by_its_first_digits_with_its_connection() {
    let stand = Stand::new();
    let (one, other) = ("0123456789abcdef", "fedcba9876543210");
    stand.hear(1, "web", connected("127.0.0.1:1111"));
    stand.hear(2, "web", connected("127.0.0.1:2222"));
    stand.hear(4, "app", statement(one));
    stand.hear(6, "web", request("127.0.0.1:1111", one));
    stand.hear(7, "app", statement(other));
    stand.hear(8, "web", request("127.0.0.1:2222", other));
    stand.hear(5, "app", request("127.0.0.1:3333", one));
    assert_eq!(stand.found(&of("01234567")), [1, 4, 5, 6]);
    assert_eq!(stand.found(&Wanted { services: vec!["app".into()], ..of(one) }), [4, 5]);
    let last = Wanted { request: Some(Which::Last), ..Wanted::default() };
    assert_eq!(stand.found(&last), [2, 7, 8]);
    assert!(stand.found(&of("ffffffff")).is_empty());
    assert!(of("0123456").check().is_err());
    assert!(of("01234567").check().is_ok());
}

#[tokio::test]
async fn a_watcher_hears_what_it_wants_and_a_slow_one_how_much_it_lost() {
    let stand = Stand::new();
    let wanted = Wanted { services: vec!["dns".into()], ..Wanted::default() };
    let mut heard = stand.journal.watch(wanted).unwrap();
    stand.hear(1, "web", note("not wanted"));
    for mono in 2..WAITING_MOST as u64 + 5 {
        stand.hear(mono, "dns", note("x"));
    }
    let mut batch = Vec::new();
    heard.next(&mut batch, usize::MAX).await;
    assert_eq!(batch[0].event.when.mono, 2);
    assert_eq!(batch.len(), WAITING_MOST + 1);
    assert_eq!(batch.last().unwrap().event.what, Happened::Untold { count: 3 });
    stand.hear(9_999, "dns", note("x"));
    assert_eq!(heard.rest().len(), 1);
    assert!(heard.rest().is_empty());
}

#[test]
fn watchers_are_bounded_and_those_who_leave_make_room() {
    let stand = Stand::new();
    let mut watching: Vec<_> =
        (0..WATCHERS_MOST).map(|_| stand.journal.watch(Wanted::default()).unwrap()).collect();
    assert!(stand.journal.watch(Wanted::default()).is_none());
    watching.pop();
    assert!(stand.journal.watch(Wanted::default()).is_some());
    watching.clear();
    stand.hear(1, "web", note("x"));
    assert!(stand.journal.kept().watchers.is_empty());
}
