//! What only a server can do: be refused by it, wait in it, lose it, find it again.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinSet, spawn_blocking};

use crate::ground::clock::{self, Stopwatch};
use crate::services::database::patience::Patience;
use crate::services::database::pool::TRUSTED_FOR;
use crate::services::database::{Place, Server, Store, StoreError, Target};
use crate::services::mariadb::MariaDb;

use super::{PATIENT, SOON_LOCKED_OUT};

/// Those that a store has to its server.
const CONNECTIONS: usize = 8;

fn store(server: &MariaDb, name: &str) -> Store {
    waiting(server, name, PATIENT)
}

fn waiting(server: &MariaDb, name: &str, patience: Patience) -> Store {
    at(&server.url_file(name), patience)
}

fn at(url_file: &Path, patience: Patience) -> Store {
    Store::waiting(Target::Server(Server::named_in(url_file).unwrap()), patience)
}

#[tokio::test]
async fn it_says_who_it_is() {
    let server = MariaDb::shared();
    let store = store(server, &server.database());
    let engine = store.engine().await.unwrap();
    assert_eq!((engine.name, engine.place), ("MariaDB", format!("127.0.0.1:{}", server.port)));
    assert!(server.sql("SELECT VERSION()").starts_with(&engine.version), "{}", engine.version);
    store.close().await;
}

#[tokio::test]
async fn a_fresh_database_is_made_once_by_many_and_by_whoever_finds_it_half_made() {
    let server = MariaDb::shared();
    let name = server.database();
    let stores: Vec<_> = (0..4).map(|_| store(server, &name)).collect();
    let mut opening = JoinSet::new();
    for store in stores.clone() {
        opening.spawn(async move { store.ping().await.unwrap() });
    }
    opening.join_all().await;
    assert_eq!(server.sql(&format!("SELECT version FROM {name}.wwwlab_schema")), "2\n");
    // As if the first had been killed before the last statements.
    server.sql(&format!("DROP TABLE {name}.sessions; DELETE FROM {name}.wwwlab_schema"));
    stores[0].sign("Ada", "kept", None).await.unwrap();
    let later = store(server, &name);
    assert_eq!(later.newest(5).await.unwrap().len(), 1);
    assert_eq!(later.session("x").await.unwrap(), None);
    for store in stores {
        store.close().await;
    }
    later.close().await;
}

#[tokio::test]
async fn somebody_elses_and_a_newer_database_are_left_alone() {
    let server = MariaDb::shared();
    let name = server.database();
    server.sql(&format!("CREATE TABLE {name}.recipes (id INT)"));
    let refused = store(server, &name).ping().await.unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
    assert_eq!(server.sql(&format!("SHOW TABLES FROM {name}")), "recipes\n");

    let name = server.database();
    store(server, &name).ping().await.unwrap();
    server.sql(&format!("INSERT INTO {name}.wwwlab_schema VALUES (4711)"));
    let refused = store(server, &name).ping().await.unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 4711, .. }), "{refused}");
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_so_without_the_password() {
    let server = MariaDb::shared();
    let name = server.database();
    let url = |user: &str, name: &str| format!("mysql://{user}@127.0.0.1:{}/{name}", server.port);
    let directory = tempfile::tempdir().unwrap();
    let asked = async |url: &str| {
        let file = directory.path().join("url");
        std::fs::write(&file, url).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).unwrap();
        at(&file, PATIENT).ping().await.unwrap_err()
    };
    let denied = asked(&url("ada:s3cret", &name)).await;
    assert!(matches!(denied, StoreError::Denied { .. }), "{denied:?}");
    server.sql(&format!(
        "CREATE USER reader@'%' IDENTIFIED BY 's3cret'; GRANT SELECT ON {name}.* TO reader@'%'"
    ));
    let no_create = asked(&url("reader:s3cret", &name)).await;
    assert!(matches!(no_create, StoreError::Denied { .. }), "{no_create:?}");
    let absent = asked(&server.url("nosuch")).await;
    assert!(matches!(absent, StoreError::NoDatabase { .. }), "{absent:?}");
    assert!(absent.to_string().contains(&format!("mysql://127.0.0.1:{}/nosuch", server.port)), "{absent}");
    for error in [denied, no_create, absent] {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("c0rrect"), "{shown}");
    }
}

#[tokio::test]
async fn a_server_with_too_many_connections_has_a_place_again_when_one_leaves() {
    let server = MariaDb::shared();
    let name = server.database();
    server.sql("CREATE USER lonely@'%' IDENTIFIED BY 's3cret' WITH MAX_USER_CONNECTIONS 1");
    server.sql(&format!("GRANT ALL ON {name}.* TO lonely@'%'"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("url");
    std::fs::write(&file, format!("mysql://lonely:s3cret@127.0.0.1:{}/{name}", server.port)).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let [first, second] = [(); 2].map(|()| at(&file, PATIENT));
    first.ping().await.unwrap();
    let refused = second.ping().await.unwrap_err();
    assert!(matches!(refused, StoreError::Crowded { .. }), "{refused:?}");
    first.close().await;
    // The server hears of it a moment later.
    while let Err(error) = second.ping().await {
        assert!(matches!(error, StoreError::Crowded { .. }), "{error:?}");
    }
    second.close().await;
}

#[tokio::test]
async fn a_lock_on_a_row_is_waited_for_and_then_told() {
    let server = MariaDb::shared();
    let name = server.database();
    let (one, other) = (store(server, &name), waiting(server, &name, SOON_LOCKED_OUT));
    let ada = one.register("Ada", "ada", "hash").await.unwrap().unwrap();
    let id = one.sign("Ada", "first", Some(ada)).await.unwrap().id;
    let mut client = server.client();
    let mut holder =
        client.args(["--unbuffered", &name]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut words = holder.stdin.take().unwrap();
    writeln!(words, "BEGIN; SELECT id FROM entries WHERE id = {id} FOR UPDATE;").unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("{id}\n"));

    // The wait for the lock is all that there is to wait for.
    other.ping().await.unwrap();
    let refused = other.edit(id, ada, "second").await.unwrap_err();
    assert!(matches!(refused, StoreError::LockWait { .. }), "{refused:?}");
    assert_eq!(other.entry(id).await.unwrap().unwrap().message, "first", "readers do not wait");
    // Its session ends, and with that its transaction.
    drop(words);
    holder.wait().unwrap();
    other.edit(id, ada, "second").await.unwrap();
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn those_who_log_in_at_once_all_get_in() {
    let server = MariaDb::shared();
    let name = server.database();
    let stores = [(); 4].map(|()| store(server, &name));
    // As many as have connections, and no more: whoever waits for one too long is told that the store is busy.
    let places = [(); 4].map(|()| Arc::new(Semaphore::new(CONNECTIONS)));
    let now = clock::unix_millis();
    let mut accounts = Vec::new();
    for number in 0..4 {
        let who = format!("user{number}");
        accounts.push(stores[0].register(&who, &who, "hash").await.unwrap().unwrap());
    }
    let mut logins = JoinSet::new();
    for number in 0..200_u64 {
        let of_store = usize::try_from(number % 4).unwrap();
        let (store, places) = (stores[of_store].clone(), places[of_store].clone());
        let account = accounts[usize::try_from(number / 4 % 4).unwrap()];
        // Every third has ended by the time that the next one comes: all delete the same ones.
        let ends = if number % 3 == 0 { now } else { now + 60_000 + number };
        logins.spawn(async move {
            let _place = places.acquire().await.unwrap();
            store.open_session(&format!("s{number}"), account, ends).await
        });
    }
    for done in logins.join_all().await {
        done.unwrap();
    }
    for store in stores {
        store.close().await;
    }
}

#[tokio::test]
async fn a_server_that_is_read_only_is_named_and_still_read() {
    let server = MariaDb::start(&[]);
    let name = server.database();
    let store = store(&server, &name);
    store.sign("Ada", "kept", None).await.unwrap();
    // Who may do anything may also write to what is read-only; the application's user is not such a one.
    server.sql("SET GLOBAL read_only = 1; REVOKE READ_ONLY ADMIN, SUPER ON *.* FROM ada@'%'");
    store.close().await;
    let store = self::store(&server, &name);
    let refused = store.sign("Bob", "lost", None).await.unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused:?}");
    assert_eq!(store.newest(5).await.unwrap().len(), 1);
    store.close().await;
}

#[tokio::test]
async fn a_server_that_stands_still_is_told_in_time_and_found_again() {
    let server = Arc::new(MariaDb::start(&[]));
    let name = server.database();
    let patient = store(&server, &name);
    patient.sign("Ada", "first", None).await.unwrap();
    patient.close().await;
    let store = waiting(&server, &name, Patience::OF_A_VISITOR);
    assert_eq!(found(&store).await, 1);
    server.stand_still();
    let silent = store.newest(5).await.unwrap_err();
    assert!(matches!(silent, StoreError::Silent { .. }), "{silent:?}");
    server.go_on();
    assert_eq!(found(&store).await, 1);
    store.close().await;
}

/// How many entries there are, as soon as the server says so: a machine may stand still longer than a visitor waits.
async fn found(store: &Store) -> usize {
    let asked = Stopwatch::start();
    loop {
        match store.newest(5).await {
            Ok(entries) => return entries.len(),
            Err(error) => assert!(
                matches!(error, StoreError::Silent { .. }) && asked.elapsed() < PATIENT.answer,
                "{error:?}"
            ),
        }
    }
}

#[tokio::test]
async fn a_change_finds_a_server_that_was_started_again_meanwhile() {
    let server = Arc::new(MariaDb::start(&[]));
    let store = store(&server, &server.database());
    for round in 1..=3 {
        store.sign("Ada", "kept", None).await.unwrap();
        // Each of several connections that are kept.
        let (_, _) = tokio::join!(store.newest(5), store.ping());
        let used = Stopwatch::start();
        let restarting = server.clone();
        spawn_blocking(move || {
            restarting.kill();
            restarting.restart();
        })
        .await
        .unwrap();
        // On a machine that does this in less, the application would not ask whether the server is there.
        while used.elapsed() <= TRUSTED_FOR {
            tokio::task::yield_now().await;
        }
        store.sign("Bob", "after", None).await.unwrap();
        assert_eq!(store.newest(100).await.unwrap().len(), 2 * round);
    }
    store.close().await;
}

#[tokio::test]
async fn what_only_reads_does_not_see_that_its_session_was_ended() {
    let server = MariaDb::shared();
    let name = server.database();
    let store = store(server, &name);
    store.sign("Ada", "kept", None).await.unwrap();
    for _ in 0..5 {
        let sessions = format!("SELECT id FROM information_schema.processlist WHERE db = '{name}'");
        let kill: String = server.sql(&sessions).lines().map(|id| format!("KILL {id};")).collect();
        assert!(!kill.is_empty(), "it keeps a connection");
        server.sql(&kill);
        assert_eq!(store.newest(5).await.unwrap().len(), 1);
    }
    store.close().await;
}

/// Kills of a server under load.
const KILLS: u32 = 20;

/// Those who write at once.
const WRITERS: u32 = 4;

#[tokio::test]
async fn what_was_acknowledged_survives_each_kill_and_the_rest_is_there_wholly_or_not_at_all() {
    let server = Arc::new(MariaDb::start(&[]));
    let store = store(&server, &server.database());
    store.ping().await.unwrap();
    let mut acknowledged = HashMap::new();
    let mut asked = HashSet::new();
    for round in 0..KILLS {
        let mut writing = JoinSet::new();
        let (begins, mut begun) = mpsc::channel(1);
        for writer in 0..WRITERS {
            let (store, begins) = (store.clone(), begins.clone());
            writing.spawn(async move {
                let (mut done, mut number) = (Vec::new(), 0);
                loop {
                    number += 1;
                    let message = format!("{round}.{writer}.{number} {}", "ü".repeat(500));
                    match store.sign("Ada", &message, None).await {
                        Ok(entry) => {
                            done.push(entry);
                            let _ = begins.try_send(());
                        }
                        Err(error) => break (done, message, error),
                    }
                }
            });
        }
        begun.recv().await.unwrap();
        let killing = server.clone();
        spawn_blocking(move || killing.kill()).await.unwrap();
        for (done, lost, error) in writing.join_all().await {
            let is_named = matches!(error, StoreError::Gone { .. } | StoreError::NotListening { .. });
            assert!(is_named, "{error:?}");
            asked.insert(lost);
            acknowledged.extend(done.into_iter().map(|entry| (entry.id, entry)));
        }
        let restarting = server.clone();
        spawn_blocking(move || restarting.restart()).await.unwrap();
        // It is found again by itself: what only reads does not end with the last connection to the former.
        store.ping().await.unwrap();
    }
    let (mut found, mut place) = (0, Place::Newest);
    loop {
        let page = store.page(place, "", 100).await.unwrap();
        for entry in &page.entries {
            match acknowledged.get(&entry.id) {
                Some(known) => assert_eq!(entry, known),
                None => assert!(asked.contains(&entry.message), "{entry:?}"),
            }
            found += usize::from(acknowledged.contains_key(&entry.id));
        }
        let Some(older) = page.older else { break };
        place = older;
    }
    assert_eq!(found, acknowledged.len());
    assert!(found >= usize::try_from(KILLS).unwrap(), "each round wrote something");
    store.close().await;
}
