//! What a store does, the same with both engines: each of these is a test with a file and one with a server.

use std::sync::LazyLock;

use crate::ground::clock;
use crate::services::database::act::Act;
use crate::services::database::connection::{Connection, Value};
use crate::services::database::{Changed, Page, Place, Session};

use super::Lab;

/// Makes two tests of each.
macro_rules! with_both_engines {
    ($($test:ident,)*) => {
        mod with_a_file {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Lab::with_a_file()).await;
            })*
        }
        mod with_a_server {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Lab::with_a_server()).await;
            })*
        }
    };
}

with_both_engines! {
    what_was_written_is_there_when_it_is_opened_again,
    no_two_visitors_get_the_same_number,
    a_visitor_who_hangs_up_takes_no_other_with_them,
    hostile_texts_come_back_as_they_were,
    pages_are_found_by_key_both_ways,
    a_search_takes_every_sign_literally,
    a_search_looks_at_a_thousand_entries_at_a_time,
    only_its_owner_changes_an_entry,
    what_a_measure_wrote_is_forgotten_and_nothing_else,
    a_name_is_one_account,
    sessions_end_and_are_bounded,
}

async fn what_a_measure_wrote_is_forgotten_and_nothing_else(lab: Lab) {
    let store = lab.store();
    let account = store.register("wwwlab", "wwwlab", "").await.unwrap();
    for (name, message, owner) in [
        ("wwwlab", "spof 1", None),
        ("wwwlab", "spof 1", None),
        ("wwwlab", "spof 2", None),
        ("Ada", "spof 1", None),
    ] {
        store.sign(name, message, owner).await.unwrap();
    }
    store.sign("wwwlab", "spof 1", account).await.unwrap();
    assert_eq!(store.forget("wwwlab", "spof 1").await.unwrap(), 2);
    assert_eq!(store.forget("wwwlab", "spof 1").await.unwrap(), 0);
    let left: Vec<_> =
        store.newest(9).await.unwrap().into_iter().map(|entry| (entry.name, entry.owner)).collect();
    let own = |name: &str, owner| (name.to_owned(), owner);
    assert_eq!(left, [own("wwwlab", account), own("Ada", None), own("wwwlab", None)]);
    store.close().await;
}

async fn what_was_written_is_there_when_it_is_opened_again(lab: Lab) {
    let store = lab.store();
    let first = store.sign("Ada", "first", None).await.unwrap().id;
    let second = store.sign("Bob", "second", None).await.unwrap().id;
    assert!(second > first);
    assert_eq!(store.hit().await.unwrap(), 1);
    store.close().await;

    let store = lab.store();
    let entries = store.newest(5).await.unwrap();
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["Bob", "Ada"]);
    assert!(entries[0].written_at >= entries[1].written_at && entries[1].written_at > 0);
    assert_eq!(store.newest(1).await.unwrap().len(), 1);
    assert_eq!(store.hit().await.unwrap(), 2);
    store.close().await;
}

async fn no_two_visitors_get_the_same_number(lab: Lab) {
    let (one, other) = (lab.store(), lab.store());
    let mut visits = tokio::task::JoinSet::new();
    for visit in 0..100 {
        let store = if visit % 2 == 0 { one.clone() } else { other.clone() };
        visits.spawn(async move { store.hit().await.unwrap() });
    }
    let mut numbers = visits.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    one.close().await;
    other.close().await;
}

async fn a_visitor_who_hangs_up_takes_no_other_with_them(lab: Lab) {
    let store = lab.store();
    {
        let gone = store.hit();
        tokio::pin!(gone);
        // Polled once, so that it waits to be counted, then dropped.
        assert!(
            std::future::poll_fn(|context| std::task::Poll::Ready(gone.as_mut().poll(context)))
                .await
                .is_pending()
        );
    }
    assert_eq!(store.hit().await.unwrap(), 1);
    store.close().await;
}

async fn hostile_texts_come_back_as_they_were(lab: Lab) {
    let store = lab.store();
    let long = "ü".repeat(64 * 1024);
    let texts = [
        "'); DROP TABLE entries; --",
        "<script>alert(1)</script> & \" '",
        "🦀👩‍👩‍👧‍👦 \u{202e}שלום\u{202c} مرحبا",
        "before\0after",
        "a\r\nb\tc\\",
        "",
        &long,
    ];
    for text in texts {
        store.sign(text, text, None).await.unwrap();
        let entry = store.newest(1).await.unwrap().remove(0);
        assert_eq!((entry.name.as_str(), entry.message.as_str()), (text, text));
    }
    assert_eq!(store.newest(100).await.unwrap().len(), texts.len());
    store.close().await;
}

async fn pages_are_found_by_key_both_ways(lab: Lab) {
    let store = lab.store();
    for number in 1..=7 {
        store.sign("Ada", &format!("number {number}"), None).await.unwrap();
    }
    let numbers = |page: &Page| page.entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    let first = store.page(Place::Newest, "", 3).await.unwrap();
    assert_eq!((numbers(&first), first.older, first.newer), (vec![7, 6, 5], Some(Place::Before(5)), None));
    // What is signed meanwhile shifts nothing.
    store.sign("Bob", "number 8", None).await.unwrap();
    let second = store.page(Place::Before(5), "", 3).await.unwrap();
    assert_eq!(numbers(&second), [4, 3, 2]);
    let third = store.page(second.older.unwrap(), "", 3).await.unwrap();
    assert_eq!((numbers(&third), third.older), (vec![1], None));
    let back = store.page(third.newer.unwrap(), "", 3).await.unwrap();
    assert_eq!(back, second);
    let newest = store.page(Place::After(5), "", 3).await.unwrap();
    assert_eq!((numbers(&newest), newest.newer), (vec![8, 7, 6], None));
    for (place, most) in [(Place::Before(1), 3), (Place::After(8), 3), (Place::Before(i64::MIN), 0)] {
        assert_eq!(store.page(place, "", most).await.unwrap().entries, []);
    }
    assert_eq!(store.page(Place::Before(i64::MAX), "", u32::MAX).await.unwrap().entries.len(), 8);
    store.close().await;
}

async fn a_search_takes_every_sign_literally(lab: Lab) {
    let store = lab.store();
    for message in
        ["100% sure", "100 percent", "under_score", "wow! so", "it's; DROP", "e\u{301}tude שלום 🦀"]
    {
        store.sign("Ada", message, None).await.unwrap();
    }
    for (search, found) in [
        ("100%", 1),
        ("PERCENT", 1),
        ("r_s", 1),
        ("w!", 1),
        ("'s; DROP", 1),
        ("שלום", 1),
        ("🦀", 1),
        ("\u{301}", 1),
        ("ada", 6),
        ("\\", 0),
        ("\0", 0),
    ] {
        let page = store.page(Place::Newest, search, 100).await.unwrap();
        assert_eq!(page.entries.len(), found, "{search}");
    }
    store.close().await;
}

async fn a_search_looks_at_a_thousand_entries_at_a_time(lab: Lab) {
    let store = lab.store();
    for from in (1..=2500).step_by(ROWS) {
        store.database.with(&Filling { from }).await.unwrap();
    }
    let ids = |page: &Page| page.entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
    let mut place = Place::Newest;
    for (found, older) in [(vec![2499], Some(1501)), (vec![], Some(501)), (vec![1], None)] {
        let page = store.page(place, "rare", 20).await.unwrap();
        assert_eq!((ids(&page), page.older), (found, older.map(Place::Before)));
        place = page.older.unwrap_or_default();
    }
    let newer = store.page(Place::After(1), "rare", 20).await.unwrap();
    assert_eq!((ids(&newer), newer.newer), (vec![], Some(Place::After(1001))));
    let whole = store.page(Place::Newest, "usual", 100).await.unwrap();
    assert_eq!((whole.entries.len(), whole.older), (100, Some(Place::Before(2400))));
    let late = format!("{}needle", "x".repeat(1_000));
    store.sign("Ada", &late, None).await.unwrap();
    assert_eq!(store.page(Place::Newest, "needle", 20).await.unwrap().entries, [], "as far as it is listed");
    assert_eq!(store.page(Place::Newest, "xxx", 20).await.unwrap().entries.len(), 1);
    store.close().await;
}

async fn only_its_owner_changes_an_entry(lab: Lab) {
    let store = lab.store();
    let ada = store.register("Ada", "ada", "hash").await.unwrap().unwrap();
    let bob = store.register("Bob", "bob", "hash").await.unwrap().unwrap();
    let hers = store.sign("Ada", "hers", Some(ada)).await.unwrap().id;
    let nobodys = store.sign("Ada", "nobody's", None).await.unwrap().id;

    assert_eq!(store.edit(hers, bob, "his").await.unwrap(), Changed::NotYours);
    assert_eq!(store.delete(hers, bob).await.unwrap(), Changed::NotYours);
    assert_eq!(store.edit(nobodys, ada, "hers").await.unwrap(), Changed::NotYours);
    assert_eq!(store.edit(4711, ada, "x").await.unwrap(), Changed::Absent);
    let untouched = store.entry(hers).await.unwrap().unwrap();
    assert_eq!((untouched.message.as_str(), untouched.edited_at), ("hers", None));

    let done = store.edit(hers, ada, "edited").await.unwrap();
    let edited = store.entry(hers).await.unwrap().unwrap();
    assert_eq!(done, Changed::Done(edited.clone()));
    assert_eq!((edited.message.as_str(), edited.owner), ("edited", Some(ada)));
    assert!(edited.edited_at.unwrap() >= edited.written_at);
    assert_eq!(store.delete(hers, ada).await.unwrap(), Changed::Done(()));
    assert_eq!(store.delete(hers, ada).await.unwrap(), Changed::Absent);
    assert_eq!(store.entry(hers).await.unwrap(), None);
    let next = store.sign("Ada", "next", Some(ada)).await.unwrap().id;
    assert!(next > nobodys, "the number of a deleted entry is never another's");
    store.close().await;
}

async fn a_name_is_one_account(lab: Lab) {
    let store = lab.store();
    assert!(store.register("Ada", "ada", "one").await.unwrap().is_some());
    assert_eq!(store.register("ADA", "ada", "two").await.unwrap(), None);
    let account = store.account("ada").await.unwrap().unwrap();
    assert_eq!((account.name.as_str(), account.password.as_str()), ("Ada", "one"));
    assert_eq!(store.account("' OR 1=1 --").await.unwrap(), None);
    store.close().await;
}

async fn sessions_end_and_are_bounded(lab: Lab) {
    let store = lab.store();
    let ada = store.register("Ada", "ada", "hash").await.unwrap().unwrap();
    let now = clock::unix_millis();
    store.open_session("past", ada, now).await.unwrap();
    assert_eq!(store.session("past").await.unwrap(), None);
    for number in 0..=20 {
        store.open_session(&number.to_string(), ada, now + 60_000 + number).await.unwrap();
    }
    assert_eq!(store.session("0").await.unwrap(), None, "twenty are kept");
    assert_eq!(store.session("1").await.unwrap(), Some(Session { account: ada, name: "Ada".into() }));
    store.close_session("1").await.unwrap();
    store.close_session("1").await.unwrap();
    assert_eq!(store.session("1").await.unwrap(), None);
    store.close().await;
}

/// Entries that one [`Filling`] signs: few statements, since each call has a limit also on a slow machine.
const ROWS: usize = 250;

static SIGNING: LazyLock<String> = LazyLock::new(|| {
    let rows = vec!["(?, 'Ada', ?, 1)"; ROWS].join(", ");
    format!("INSERT INTO entries (id, name, message, written_at) VALUES {rows}")
});

/// Signs [`ROWS`] times; of 2500 the second last and the first are rare.
struct Filling {
    from: i64,
}

impl Act for Filling {
    type Done = ();

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<()> {
        let mut values = Vec::new();
        for number in (self.from..).take(ROWS) {
            let message = if [1, 2499].contains(&number) { "rare" } else { "usual" };
            values.extend([Value::from(number), message.into()]);
        }
        connection.change(&SIGNING, &values).await.map(drop)
    }
}
