//! Backups of either engine, restored into either; damaged, foreign, newer and contradictory ones, which change nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::Lab;
use crate::ground::clock;
use crate::services::database::backup::{self, BackupError, Doing, Made, Manifest, Progress};
use crate::services::database::{Changed, Place, Store, StoreError, Target};

/// Texts that a file of lines could mistake for something else.
const TEXTS: [&str; 5] = ["a\nb\r\n\\", "before\0after", "{\"sha256\":\"x\"}", "🦀 \u{2028}שלום\u{fffd}", ""];

/// Somewhere to put backups.
struct Shelf(TempDir);

impl Shelf {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("guestbook.backup")
    }

    fn with(&self, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.file(), bytes).unwrap();
        self.file()
    }
}

async fn back_up(target: &Target, file: &Path) -> Result<Made, BackupError> {
    backup::back_up(target, file, false, &mut |_| {}).await
}

async fn restore(target: &Target, file: &Path) -> Result<Manifest, BackupError> {
    backup::restore(target, file, &mut |_| {}).await
}

/// Two accounts, a session, some entries, of which the last is deleted, and a visit.
async fn fill(store: &Store) -> i64 {
    let ada = store.register("Ada", "ada", "hash").await.unwrap().unwrap();
    store.register("Bob", "bob", "hash of Bob").await.unwrap().unwrap();
    store.open_session("digest", ada, clock::unix_millis() + 60_000).await.unwrap();
    for text in TEXTS {
        let signed = store.sign(text, text, Some(ada)).await.unwrap().id;
        assert!(matches!(store.edit(signed, ada, text).await.unwrap(), Changed::Done(_)));
    }
    store.sign("nobody", &"ü".repeat(64 * 1024), None).await.unwrap();
    let deleted = store.sign("Ada", "deleted", Some(ada)).await.unwrap().id;
    assert_eq!(store.delete(deleted, ada).await.unwrap(), Changed::Done(()));
    store.hit().await.unwrap();
    deleted
}

#[tokio::test]
async fn what_was_backed_up_from_one_engine_is_restored_into_either() {
    for from in [Lab::with_a_file, Lab::with_a_server] {
        for to in [Lab::with_a_file, Lab::with_a_server] {
            let (from, to, shelf) = (from(), to(), Shelf::new());
            let (store, other) = (from.store(), to.store());
            let deleted = fill(&store).await;
            let made = back_up(&from.target, &shelf.file()).await.unwrap();
            let counts = made.manifest.rows;
            assert_eq!((counts.accounts, counts.counters, counts.entries), (2, 1, 6));
            assert_eq!(made.bytes, shelf.file().metadata().unwrap().len());
            assert_eq!(shelf.file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(backup::check(&shelf.file(), &mut |_| {}).unwrap(), made.manifest);

            // What was there goes, while the application has the database open.
            for number in 0..40 {
                other.sign("Eve", &number.to_string(), None).await.unwrap();
            }
            let eve = other.register("Eve", "eve", "hash").await.unwrap().unwrap();
            other.open_session("hers", eve, clock::unix_millis() + 60_000).await.unwrap();
            assert_eq!(restore(&to.target, &shelf.file()).await.unwrap(), made.manifest);
            let everything = |store: Store| async move { store.page(Place::Newest, "", 100).await.unwrap() };
            assert_eq!(everything(other.clone()).await, everything(store.clone()).await);
            assert_eq!(other.account("bob").await.unwrap(), store.account("bob").await.unwrap());
            assert_eq!(other.account("eve").await.unwrap(), None);
            for digest in ["digest", "hers"] {
                assert_eq!(other.session(digest).await.unwrap(), None, "everybody is logged out");
            }
            assert_eq!(other.hit().await.unwrap(), 2);
            let next = other.sign("Ada", "next", None).await.unwrap().id;
            assert!(next > deleted.max(40), "no number is given twice: {next}");
            store.close().await;
            other.close().await;
        }
    }
}

#[tokio::test]
async fn numbers_go_on_from_where_they_were_also_in_a_new_database() {
    for to in [Lab::with_a_file, Lab::with_a_server] {
        let (from, to, shelf) = (Lab::with_a_server(), to(), Shelf::new());
        let store = from.store();
        let deleted = fill(&store).await;
        let made = back_up(&from.target, &shelf.file()).await.unwrap();
        assert_eq!((made.manifest.last_numbers.accounts, made.manifest.last_numbers.entries), (2, deleted));
        restore(&to.target, &shelf.file()).await.unwrap();
        let other = to.store();
        assert_eq!(other.sign("Ada", "next", None).await.unwrap().id, deleted + 1);
        assert_eq!(other.register("Eve", "eve", "hash").await.unwrap(), Some(3));
        other.close().await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_backup_is_of_one_moment_though_others_write() {
    for lab in [Lab::with_a_file(), Lab::with_a_server()] {
        let shelf = Shelf::new();
        let store = lab.store();
        store.ping().await.unwrap();
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Notify::new()));
        let writer = tokio::spawn({
            let (store, stop, written) = (store.clone(), stop.clone(), written.clone());
            async move {
                // First the visit, then the entry: nobody ever finds less of the former.
                while !stop.load(Ordering::Relaxed) {
                    let (Ok(visits), Ok(entry)) = (store.hit().await, store.sign("Ada", "x", None).await)
                    else {
                        panic!("the application goes on");
                    };
                    assert_eq!(visits, u64::try_from(entry.id).unwrap());
                    written.notify_one();
                }
            }
        });
        for _ in 0..10 {
            written.notified().await;
            let made = backup::back_up(&lab.target, &shelf.file(), true, &mut |_| {}).await.unwrap();
            let text = fs::read_to_string(shelf.file()).unwrap();
            let visits: u64 =
                text.split("\"value\":").nth(1).unwrap().split('}').next().unwrap().parse().unwrap();
            assert!([0, 1].contains(&(visits - made.manifest.rows.entries)), "{visits} {made:?}");
        }
        stop.store(true, Ordering::Relaxed);
        writer.await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn not_a_byte_can_be_another_or_be_missing() {
    let (lab, shelf) = (Lab::with_a_file(), Shelf::new());
    let store = lab.store();
    store.sign("Ada", "Hello", None).await.unwrap();
    back_up(&lab.target, &shelf.file()).await.unwrap();
    let whole = fs::read(shelf.file()).unwrap();
    for place in 0..whole.len() {
        for other in [whole[place] ^ 1, whole[place] ^ 0x20, 0, b'\n', b' '] {
            if other == whole[place] {
                continue;
            }
            let mut damaged = whole.clone();
            damaged[place] = other;
            let refused = backup::check(&shelf.with(damaged), &mut |_| {}).unwrap_err();
            let told = matches!(
                refused,
                BackupError::Damaged { .. } | BackupError::Foreign { .. } | BackupError::Newer { .. }
            );
            assert!(told, "{place}: {refused:?}");
        }
        let refused = backup::check(&shelf.with(&whole[..place]), &mut |_| {}).unwrap_err();
        assert!(matches!(refused, BackupError::Damaged { .. } | BackupError::Foreign { .. }), "{refused:?}");
    }
    for more in ["\n", "x", "{}\n"] {
        let refused =
            backup::check(&shelf.with([&whole, more.as_bytes()].concat()), &mut |_| {}).unwrap_err();
        assert!(
            matches!(refused, BackupError::Damaged { why: "something follows its end", .. }),
            "{refused}"
        );
    }
    backup::check(&shelf.with(&whole), &mut |_| {}).unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_damaged_backup_changes_nothing_wherever_it_is_damaged() {
    for lab in [Lab::with_a_file(), Lab::with_a_server()] {
        let shelf = Shelf::new();
        let store = lab.store();
        fill(&store).await;
        back_up(&lab.target, &shelf.file()).await.unwrap();
        store.sign("Eve", "later", None).await.unwrap();
        let before = store.page(Place::Newest, "", 100).await.unwrap();
        let whole = fs::read(shelf.file()).unwrap();
        for twentieth in 0..20 {
            let place = whole.len() * twentieth / 20;
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            let refused = [
                restore(&lab.target, &shelf.with(damaged)).await.unwrap_err(),
                restore(&lab.target, &shelf.with(&whole[..place])).await.unwrap_err(),
            ];
            for refused in refused {
                assert!(refused.to_string().ends_with("nothing was changed"), "{refused}");
            }
            assert_eq!(store.page(Place::Newest, "", 100).await.unwrap(), before);
        }
        assert!(store.session("digest").await.unwrap().is_some(), "nobody was logged out");
        store.close().await;
    }
}

#[tokio::test]
async fn somebody_elses_file_and_a_newer_backup_are_refused() {
    let (lab, shelf) = (Lab::with_a_file(), Shelf::new());
    let long = "x".repeat(5 << 20);
    for foreign in ["", "\n", "null\n", "-- MariaDB dump 10.19\n", "{\"form\":1}\n", "\0\u{1}\u{2}", &long] {
        let refused = restore(&lab.target, &shelf.with(foreign)).await.unwrap_err();
        assert!(matches!(refused, BackupError::Foreign { .. }), "{refused}");
    }
    for (head, what) in [
        ("{\"wwwlab_backup\":2,\"schema\":2,\"something\":\"new\"}", "form 2; this one knows up to 1"),
        (&manifest(1, 4711, 0, 0), "schema 4711; this one knows up to 2"),
    ] {
        let refused = restore(&lab.target, &shelf.with(sealed(&[head]))).await.unwrap_err();
        assert!(refused.to_string().contains(what), "{refused}");
    }
    let refused = restore(&lab.target, shelf.0.path()).await.unwrap_err();
    assert!(matches!(refused, BackupError::Foreign { .. }), "a directory: {refused}");
    let pipe = shelf.0.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let refused = restore(&lab.target, &pipe).await.unwrap_err();
    assert!(matches!(refused, BackupError::Foreign { .. }), "it is not waited for: {refused}");
    let refused = restore(&lab.target, Path::new("/nonexistent")).await.unwrap_err();
    assert!(matches!(refused, BackupError::Unreadable { .. }), "{refused}");
    let Target::File(file) = &lab.target else { panic!("it is a file") };
    assert!(!file.exists(), "no database was made");
}

#[tokio::test]
async fn rows_that_cannot_be_together_leave_all_as_it_was() {
    let ada = r#"{"account":{"id":1,"name":"A","name_folded":"a","password":"","created_at":0}}"#;
    let twin = r#"{"account":{"id":2,"name":"a","name_folded":"a","password":"","created_at":0}}"#;
    let orphan = r#"{"entry":{"id":1,"name":"A","message":"","written_at":0,"edited_at":null,"owner":7}}"#;
    let zero = r#"{"entry":{"id":0,"name":"A","message":"","written_at":0,"edited_at":null,"owner":null}}"#;
    let odd =
        r#"{"entry":{"id":1,"name":"A","message":"","written_at":0,"edited_at":null,"owner":null,"x":1}}"#;
    for lab in [Lab::with_a_file(), Lab::with_a_server()] {
        let shelf = Shelf::new();
        let store = lab.store();
        fill(&store).await;
        let before = store.page(Place::Newest, "", 100).await.unwrap();
        for lines in [&[&*manifest(1, 2, 2, 0), ada, twin][..], &[&manifest(1, 2, 1, 1), ada, orphan]] {
            let refused = restore(&lab.target, &shelf.with(sealed(lines))).await.unwrap_err();
            assert!(matches!(refused, BackupError::Contradictory { .. }), "{refused:?}");
            assert_eq!(store.page(Place::Newest, "", 100).await.unwrap(), before);
        }
        for lines in
            [&[&*manifest(1, 2, 0, 1), zero][..], &[&manifest(1, 2, 0, 1), odd], &[&manifest(1, 2, 1, 0)]]
        {
            let refused = restore(&lab.target, &shelf.with(sealed(lines))).await.unwrap_err();
            assert!(matches!(refused, BackupError::Damaged { .. }), "{refused:?}");
        }
        let done = restore(&lab.target, &shelf.with(sealed(&[&manifest(1, 2, 1, 0), ada]))).await;
        assert_eq!(done.unwrap().rows.all(), 1, "and what can be together is restored");
        assert_eq!(store.hit().await.unwrap(), 1, "also where nobody counted the visits");
        assert_eq!(store.newest(1).await.unwrap(), []);
        let last = manifest(1, 2, 0, 0).replace("\"entries\":0}}", "\"entries\":9223372036854775807}}");
        let refused = restore(&lab.target, &shelf.with(sealed(&[&last]))).await.unwrap_err();
        assert!(refused.to_string().contains("a last number is out of bounds"), "{refused}");
        store.close().await;
    }
}

#[tokio::test]
async fn numbers_that_would_become_others_are_in_no_backup() {
    let counter =
        |name: &str, value: i64| format!("{{\"counter\":{{\"name\":\"{name}\",\"value\":{value}}}}}");
    let counters =
        |count: u64| manifest(1, 2, 0, 0).replace("\"counters\":0", &format!("\"counters\":{count}"));
    for lab in [Lab::with_a_file(), Lab::with_a_server()] {
        let (shelf, store) = (Shelf::new(), lab.store());
        store.sign("Ada", "kept", None).await.unwrap();
        let visits = counter("home", i64::MAX);
        let many = (0..300).map(|number| counter(&number.to_string(), 1));
        let many: Vec<String> = std::iter::once(counters(300)).chain(many).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for lines in [&[&*counters(1), &*visits][..], &many] {
            let refused = restore(&lab.target, &shelf.with(sealed(lines))).await.unwrap_err();
            assert!(matches!(refused, BackupError::Damaged { .. }), "{refused:?}");
        }
        assert_eq!(store.newest(5).await.unwrap().len(), 1);
        let (counter, highest) = (counter("home", 1 << 53), counters(1));
        restore(&lab.target, &shelf.with(sealed(&[&highest, &counter]))).await.unwrap();
        assert_eq!(store.hit().await.unwrap(), (1 << 53) + 1, "the visits go on");
        // By now it is beyond, as if somebody had set it by hand.
        fs::remove_file(shelf.file()).unwrap();
        let refused = back_up(&lab.target, &shelf.file()).await.unwrap_err();
        assert!(matches!(refused, BackupError::OutOfBounds { .. }), "{refused:?}");
        assert!(!shelf.file().exists());
        store.close().await;
    }
}

#[tokio::test]
async fn a_good_backup_is_not_replaced_by_accident() {
    for lab in [Lab::with_a_file(), Lab::with_a_server()] {
        let shelf = Shelf::new();
        // There never was anything, or it is gone: nothing to put in a backup's place.
        let refused = backup::back_up(&lab.target, &shelf.file(), true, &mut |_| {}).await.unwrap_err();
        assert!(matches!(refused, BackupError::Nothing { .. }), "{refused}");
        let store = lab.store();
        store.ping().await.unwrap();
        back_up(&lab.target, &shelf.file()).await.unwrap();
        let first = fs::read(shelf.file()).unwrap();
        store.hit().await.unwrap();
        let refused = back_up(&lab.target, &shelf.file()).await.unwrap_err();
        assert!(matches!(refused, BackupError::Exists { .. }), "{refused}");
        assert_eq!(fs::read(shelf.file()).unwrap(), first);
        backup::back_up(&lab.target, &shelf.file(), true, &mut |_| {}).await.unwrap();
        assert_ne!(fs::read(shelf.file()).unwrap(), first);
        for nowhere in [shelf.0.path().join("no/such"), shelf.0.path().to_owned()] {
            let refused = backup::back_up(&lab.target, &nowhere, true, &mut |_| {}).await.unwrap_err();
            assert!(matches!(refused, BackupError::Unwritable { .. }), "{refused}");
        }
        let left: Vec<_> = fs::read_dir(shelf.0.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(left, [shelf.file()], "nothing half-done is left");
        store.close().await;
    }
}

#[tokio::test]
async fn a_locked_database_is_said_to_be() {
    let (directory, file) = super::lab();
    let store = super::in_file(&file);
    store.ping().await.unwrap();
    let target = Target::File(file.clone());
    let backup = directory.path().join("backup");
    back_up(&target, &backup).await.unwrap();
    let withheld = super::withhold(&file).await;
    for refused in [
        backup::back_up(&target, &backup, true, &mut |_| {}).await.unwrap_err(),
        restore(&target, &backup).await.unwrap_err(),
    ] {
        assert!(matches!(refused, BackupError::Store(StoreError::Locked { .. })), "{refused}");
    }
    crate::ground::service::Service::close(withheld).await;
    restore(&target, &backup).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn how_far_it_is_is_told_to_the_end() {
    let (lab, shelf) = (Lab::with_a_file(), Shelf::new());
    let store = lab.store();
    for _ in 0..3 {
        store.sign("Ada", "Hello", None).await.unwrap();
    }
    let mut told = Vec::new();
    backup::back_up(&lab.target, &shelf.file(), false, &mut |progress| told.push(progress)).await.unwrap();
    backup::restore(&lab.target, &shelf.file(), &mut |progress| told.push(progress)).await.unwrap();
    for doing in [Doing::BackingUp, Doing::Checking, Doing::Restoring] {
        assert!(told.contains(&Progress { doing, done: 4, all: 4 }), "{told:?}");
    }
    assert_eq!(told.last(), Some(&Progress { doing: Doing::Ending, done: 4, all: 4 }), "before it lasts");
    store.close().await;
}

fn manifest(form: u32, schema: i64, accounts: u64, entries: u64) -> String {
    format!(
        "{{\"wwwlab_backup\":{form},\"made_at\":\"now\",\"engine\":\"none\",\"schema\":{schema},\
         \"rows\":{{\"accounts\":{accounts},\"counters\":0,\"entries\":{entries}}},\
         \"last_numbers\":{{\"accounts\":0,\"entries\":0}}}}"
    )
}

/// A backup of these lines, with the right digest.
fn sealed(lines: &[&str]) -> String {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let digest = HEXLOWER.encode(&Sha256::digest(&text));
    format!("{text}{{\"sha256\":\"{digest}\"}}\n")
}
