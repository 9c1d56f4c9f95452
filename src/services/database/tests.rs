//! The store on a real file, alone, shared, locked and broken.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::withhold::{Config, Withheld};
use super::{Changed, Place, Session, Store, StoreError};
use crate::ground::clock;
use crate::ground::journal;
use crate::ground::service::Service as _;

fn lab() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state/guestbook.db");
    (directory, file)
}

async fn withhold(file: &std::path::Path) -> Withheld {
    let config = Config { withhold: file.to_owned() };
    Withheld::start(config, journal::journal().0).await.unwrap()
}

#[tokio::test]
async fn a_fresh_store_is_empty_private_and_not_made_before_it_is_needed() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
    assert!(!file.exists());
    assert_eq!(store.newest(5).await.unwrap(), []);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    store.ping().await.unwrap();
    let engine = store.engine().await.unwrap();
    assert_eq!((engine.name, engine.place.as_str()), ("SQLite", "guestbook.db"));
    assert!(engine.version.starts_with("3."), "{engine:?}");
    store.close().await;
}

#[tokio::test]
async fn what_was_written_is_there_when_it_is_opened_again() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
    let first = store.sign("Ada", "first", None).await.unwrap().id;
    let second = store.sign("Bob", "second", None).await.unwrap().id;
    assert!(second > first);
    assert_eq!(store.hit().await.unwrap(), 1);
    store.close().await;

    let store = Store::in_file(&file);
    let entries = store.newest(5).await.unwrap();
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["Bob", "Ada"]);
    assert!(entries[0].written_at >= entries[1].written_at && entries[1].written_at > 0);
    assert_eq!(store.newest(1).await.unwrap().len(), 1);
    assert_eq!(store.hit().await.unwrap(), 2);
    store.close().await;
}

#[tokio::test]
async fn no_two_visitors_get_the_same_number() {
    let (_directory, file) = lab();
    let (one, other) = (Store::in_file(&file), Store::in_file(&file));
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

#[tokio::test]
async fn a_visitor_who_hangs_up_takes_no_other_with_them() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
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

#[tokio::test]
async fn hostile_texts_come_back_as_they_were() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
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

#[tokio::test]
async fn a_withheld_database_is_locked_and_comes_back() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
    store.sign("Ada", "kept", None).await.unwrap();

    let withheld = withhold(&file).await;
    assert!(withheld.listening().is_empty());
    for refused in [
        store.newest(5).await.unwrap_err(),
        store.ping().await.unwrap_err(),
        store.sign("Bob", "lost", None).await.unwrap_err(),
        store.hit().await.unwrap_err(),
    ] {
        assert!(matches!(refused, StoreError::Locked { .. }), "{refused:?}");
    }
    withheld.close().await;

    assert_eq!(store.newest(5).await.unwrap().len(), 1);
    assert_eq!(store.hit().await.unwrap(), 1);
    store.close().await;
}

#[tokio::test]
async fn those_who_wait_behind_a_lock_are_told_together() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
    store.ping().await.unwrap();
    let withheld = withhold(&file).await;
    let (one, two, three) = tokio::join!(store.newest(5), store.ping(), store.sign("Ada", "lost", None));
    let causes = [one.unwrap_err(), two.unwrap_err(), three.unwrap_err()].map(|error| match error {
        StoreError::Locked { source, .. } => source,
        other => panic!("{other:?}"),
    });
    assert!(causes.iter().all(|cause| Arc::ptr_eq(cause, &causes[0])));
    withheld.close().await;
    store.ping().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_database_that_is_withheld_before_it_exists_is_made_afterwards() {
    let (_directory, file) = lab();
    let withheld = withhold(&file).await;
    let store = Store::in_file(&file);
    let refused = store.ping().await.unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused:?}");
    withheld.close().await;
    assert_eq!(store.hit().await.unwrap(), 1);
    store.close().await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone_until_it_is_moved_away() {
    let (_directory, file) = lab();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let letter = "Dear database, I am a letter. ".repeat(100);
    std::fs::write(&file, &letter).unwrap();
    let store = Store::in_file(&file);
    let refused = store.hit().await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), letter);

    std::fs::remove_file(&file).unwrap();
    assert_eq!(store.hit().await.unwrap(), 1);
    store.close().await;
}

#[tokio::test]
async fn a_database_that_is_deleted_under_the_store_is_made_anew() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
    store.hit().await.unwrap();
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
    let refused = store.hit().await.unwrap_err();
    assert!(!matches!(refused, StoreError::Locked { .. }), "{refused:?}");
    assert_eq!(store.hit().await.unwrap(), 1);
    store.close().await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let (directory, _) = lab();
    let obstacle = directory.path().join("obstacle");
    std::fs::write(&obstacle, "a file").unwrap();
    let store = Store::in_file(&obstacle.join("guestbook.db"));
    let refused = store.ping().await.unwrap_err();
    assert!(matches!(refused, StoreError::Uncreatable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("obstacle/guestbook.db"));
    std::fs::remove_file(&obstacle).unwrap();
    store.ping().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn pages_are_found_by_key_both_ways() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
    for number in 1..=7 {
        store.sign("Ada", &format!("number {number}"), None).await.unwrap();
    }
    let numbers = |page: &super::Page| page.entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
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

#[tokio::test]
async fn a_search_takes_every_sign_literally() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
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

#[tokio::test]
async fn a_search_looks_at_a_thousand_entries_at_a_time() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
    let many = "WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers LIMIT 2500) \
                INSERT INTO entries (name, message, written_at) \
                SELECT 'Ada', iif(number IN (1, 2499), 'rare', 'usual'), 1 FROM numbers";
    let signing = store
        .database
        .with(|connection| Box::pin(async move { sqlx::query(many).execute(connection).await.map(drop) }));
    signing.await.unwrap();
    let ids = |page: &super::Page| page.entries.iter().map(|entry| entry.id).collect::<Vec<_>>();
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

#[tokio::test]
async fn a_statement_that_nobody_waits_for_is_broken_off() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
    store.ping().await.unwrap();
    let endless = "WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers) \
                   SELECT count(*) FROM numbers";
    for _ in 0..3 {
        let (begins, mut begun) = tokio::sync::oneshot::channel();
        let mut asked = Box::pin(store.database.within_time(move |connection| {
            Box::pin(async move {
                let _ = begins.send(());
                sqlx::query(endless).execute(connection).await.map(drop)
            })
        }));
        tokio::select! {
            biased;
            done = &mut asked => panic!("{done:?}"),
            begun = &mut begun => begun.unwrap(),
        }
        assert!(futures_util::poll!(&mut asked).is_pending());
        drop(asked);
        // It would not come free in time.
        store.sign("Ada", "meanwhile", None).await.unwrap();
    }
    store.close().await;
}

#[tokio::test]
async fn only_its_owner_changes_an_entry() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
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

#[tokio::test]
async fn a_name_is_one_account() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
    assert!(store.register("Ada", "ada", "one").await.unwrap().is_some());
    assert_eq!(store.register("ADA", "ada", "two").await.unwrap(), None);
    let account = store.account("ada").await.unwrap().unwrap();
    assert_eq!((account.name.as_str(), account.password.as_str()), ("Ada", "one"));
    assert_eq!(store.account("' OR 1=1 --").await.unwrap(), None);
    store.close().await;
}

#[tokio::test]
async fn sessions_end_and_are_bounded() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
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
