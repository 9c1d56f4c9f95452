//! The store on a real file, alone, shared, locked and broken; with a real server in rooms of their own.

mod backup;
mod both;
mod server;

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::act::Act;
use super::connection::Connection;
use super::patience::Patience;
use super::withhold::{Config, Withheld};
use super::{Server, Store, StoreError, Target};
use crate::ground::journal;
use crate::ground::service::Service as _;
use crate::services::mariadb::MariaDb;

/// That of a test on a machine that has much else to do: only what is broken takes so long.
const PATIENT: Patience = Patience {
    answer: Duration::from_secs(30),
    connection: Duration::from_secs(30),
    file_lock: Duration::from_secs(30),
    server_lock: Duration::from_secs(30),
};

/// For tests that are about locks: one that is held is told soon, whatever else takes its time.
const SOON_LOCKED_OUT: Patience = Patience {
    file_lock: Patience::OF_A_VISITOR.file_lock,
    server_lock: Patience::OF_A_VISITOR.server_lock,
    ..PATIENT
};

/// A store in `file`, locked out soon.
fn in_file(file: &Path) -> Store {
    Store::waiting(Target::File(file.to_owned()), SOON_LOCKED_OUT)
}

fn lab() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state/guestbook.db");
    (directory, file)
}

/// A database of its own for one test.
struct Lab {
    target: Target,
    _directory: Option<TempDir>,
}

impl Lab {
    fn with_a_file() -> Self {
        let (directory, file) = lab();
        Self { target: Target::File(file), _directory: Some(directory) }
    }

    fn with_a_server() -> Self {
        let server = MariaDb::shared();
        let url_file = server.url_file(&server.database());
        Self { target: Target::Server(Server::named_in(&url_file).unwrap()), _directory: None }
    }

    fn store(&self) -> Store {
        Store::waiting(self.target.clone(), PATIENT)
    }
}

async fn withhold(file: &Path) -> Withheld {
    let config = Config { withhold: Some(file.to_owned()), ..Config::default() };
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
async fn a_withheld_database_is_locked_and_comes_back() {
    let (_directory, file) = lab();
    let store = in_file(&file);
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
    let store = in_file(&file);
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
    let store = in_file(&file);
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
    let store = in_file(&file);
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
    let store = in_file(&file);
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
    let store = in_file(&obstacle.join("guestbook.db"));
    let refused = store.ping().await.unwrap_err();
    assert!(matches!(refused, StoreError::Uncreatable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("obstacle/guestbook.db"));
    std::fs::remove_file(&obstacle).unwrap();
    store.ping().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn what_only_reads_is_read_once_more_when_its_connection_ended_and_a_change_is_not_repeated() {
    let (_directory, file) = lab();
    let store = in_file(&file);
    let reading = Ending::<true>::after(1);
    store.database.with(&reading).await.unwrap();
    assert_eq!(reading.times(), 2);
    // Also behind a limit of time.
    store.database.within_time(Ending::<true>::after(1)).await.unwrap();
    let ends_again = Ending::<true>::after(9);
    let refused = store.database.with(&ends_again).await.unwrap_err();
    assert!(matches!(refused, StoreError::Gone { .. }), "{refused:?}");
    assert_eq!(ends_again.times(), 2);
    let changing = Ending::<false>::after(1);
    let refused = store.database.with(&changing).await.unwrap_err();
    assert!(matches!(refused, StoreError::Gone { .. }), "{refused:?}");
    assert_eq!(changing.times(), 1, "it may be done");
    store.close().await;
}

/// Meets the end of its connection as often as it was told; says how often it was done.
struct Ending<const ONLY_READS: bool> {
    ends: u32,
    times: AtomicU32,
}

impl<const ONLY_READS: bool> Ending<ONLY_READS> {
    fn after(ends: u32) -> Self {
        Self { ends, times: AtomicU32::new(0) }
    }

    fn times(&self) -> u32 {
        self.times.load(Ordering::Relaxed)
    }
}

impl<const ONLY_READS: bool> Act for Ending<ONLY_READS> {
    type Done = ();

    const ONLY_READS: bool = ONLY_READS;

    async fn on(&self, _: &mut Connection) -> sqlx::Result<()> {
        let before = self.times.fetch_add(1, Ordering::Relaxed);
        if before < self.ends { Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_statement_that_nobody_waits_for_is_broken_off() {
    let (_directory, file) = lab();
    let store = Store::waiting(Target::File(file.clone()), PATIENT);
    let hurried = Patience { file_lock: Duration::from_millis(1), ..PATIENT };
    let hurried = Store::waiting(Target::File(file), hurried);
    store.ping().await.unwrap();
    let mut asked = Box::pin(store.database.within_time(Endless));
    // Once it counts, it holds the file's lock.
    while !matches!(hurried.sign("Ada", "before", None).await, Err(StoreError::Locked { .. })) {
        assert!(futures_util::poll!(&mut asked).is_pending());
    }
    drop(asked);
    // Else the lock would not come free in time.
    store.sign("Ada", "afterwards", None).await.unwrap();
    store.close().await;
}

/// Counts for ever, and would write the result.
struct Endless;

impl Act for Endless {
    type Done = ();

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<()> {
        let endless = "UPDATE counters SET value = (WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 \
                       FROM numbers) SELECT count(*) FROM numbers)";
        connection.rows(endless, &[]).await.map(drop)
    }
}
