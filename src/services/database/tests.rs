//! The store on a real file, alone, shared, locked and broken.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::withhold::{Config, Withheld};
use super::{Store, StoreError};
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
    let first = store.sign("Ada", "first").await.unwrap();
    let second = store.sign("Bob", "second").await.unwrap();
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
        store.sign(text, text).await.unwrap();
        let entry = store.newest(1).await.unwrap().remove(0);
        assert_eq!((entry.name.as_str(), entry.message.as_str()), (text, text));
    }
    assert_eq!(store.newest(u32::MAX).await.unwrap().len(), texts.len());
    store.close().await;
}

#[tokio::test]
async fn a_withheld_database_is_locked_and_comes_back() {
    let (_directory, file) = lab();
    let store = Store::in_file(&file);
    store.sign("Ada", "kept").await.unwrap();

    let withheld = withhold(&file).await;
    assert!(withheld.listening().is_empty());
    for refused in [
        store.newest(5).await.unwrap_err(),
        store.ping().await.unwrap_err(),
        store.sign("Bob", "lost").await.unwrap_err(),
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
    let (one, two, three) = tokio::join!(store.newest(5), store.ping(), store.sign("Ada", "lost"));
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
