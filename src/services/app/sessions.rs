//! Where it is kept who is logged in: in the database, or in the memory of this process.
//!
//! In the database a session is there for every application server, and after a restart. In memory it costs no question
//! to the database, but a restart logs everybody out, and a second server behind a balancer knows nobody of the first's:
//! why state is not kept in servers of which there are to be several.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ground::clock;
use crate::services::database::{SESSIONS_MOST, Session, Store, StoreError};

/// Sessions in memory at most; another one ends the one that would end first.
const IN_MEMORY_MOST: usize = 10_000;

/// Where it is kept who is logged in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sessions {
    /// In the memory of the process, which forgets it when it ends.
    Memory,
    /// In the database.
    #[default]
    Database,
}

/// The sessions, kept at one of both places.
#[derive(Debug)]
pub(super) enum Kept {
    /// In memory.
    Memory(Memory),
    /// In the database.
    Database(Store),
}

impl Kept {
    /// Those that are kept in `place`, or with the rest in `store`.
    pub(super) fn of(place: Sessions, store: &Store) -> Self {
        match place {
            Sessions::Memory => Self::Memory(Memory::default()),
            Sessions::Database => Self::Database(store.clone()),
        }
    }

    /// Opens a session for the account `account` by name `name` that is known by `digest` until `expires_at`, in
    /// milliseconds since the Unix epoch.
    pub(super) async fn open(
        &self,
        digest: &str,
        account: i64,
        name: &str,
        expires_at: u64,
    ) -> Result<(), StoreError> {
        match self {
            Self::Memory(memory) => {
                let session = Session { account, name: name.to_owned() };
                memory.open(digest, session, expires_at, clock::unix_millis());
                Ok(())
            }
            Self::Database(store) => store.open_session(digest, account, expires_at).await,
        }
    }

    /// Who has the session that is known by `digest`, if it is open.
    pub(super) async fn find(&self, digest: &str) -> Result<Option<Session>, StoreError> {
        match self {
            Self::Memory(memory) => Ok(memory.find(digest, clock::unix_millis())),
            Self::Database(store) => store.session(digest).await,
        }
    }

    /// Ends the session that is known by `digest`, if it is open.
    pub(super) async fn close(&self, digest: &str) -> Result<(), StoreError> {
        match self {
            Self::Memory(memory) => {
                memory.locked().remove(digest);
                Ok(())
            }
            Self::Database(store) => store.close_session(digest).await,
        }
    }
}

/// Sessions that end with this process, by their digests.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The lock is held for a look or a change, never across an await.
    open: Mutex<HashMap<String, Open>>,
}

#[derive(Debug)]
struct Open {
    session: Session,
    expires_at: u64,
}

impl Memory {
    fn open(&self, digest: &str, session: Session, expires_at: u64, now: u64) {
        let mut open = self.locked();
        open.retain(|_, open| open.expires_at > now);
        let account = session.account;
        make_room(&mut open, SESSIONS_MOST, |open| open.session.account == account);
        make_room(&mut open, IN_MEMORY_MOST, |_| true);
        open.insert(digest.to_owned(), Open { session, expires_at });
    }

    fn find(&self, digest: &str, now: u64) -> Option<Session> {
        self.locked().get(digest).filter(|open| open.expires_at > now).map(|open| open.session.clone())
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the first of those that `counts` says, so that one more of them makes no more than `most`.
fn make_room(open: &mut HashMap<String, Open>, most: usize, counts: impl Fn(&Open) -> bool) {
    while open.values().filter(|open| counts(open)).count() >= most {
        let of_them = open.iter().filter(|(_, open)| counts(open));
        let first = of_them.min_by_key(|(_, open)| open.expires_at).map(|(digest, _)| digest.clone());
        let Some(first) = first else { return };
        open.remove(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(account: i64) -> Session {
        Session { account, name: "Ada".into() }
    }

    #[test]
    fn a_session_ends_in_time() {
        let memory = Memory::default();
        memory.open("a", of(1), 100, 0);
        assert_eq!(memory.find("a", 99), Some(of(1)));
        assert_eq!(memory.find("a", 100), None);
        assert_eq!(memory.find("b", 0), None);
        memory.open("b", of(1), 200, 150);
        assert_eq!(memory.locked().len(), 1, "what has ended is forgotten on the way");
    }

    #[test]
    fn there_are_so_many_at_most_of_one_account_and_of_all() {
        let memory = Memory::default();
        for number in 0..=SESSIONS_MOST as u64 {
            memory.open(&number.to_string(), of(1), 1_000 + number, 0);
        }
        assert_eq!(memory.find("0", 0), None, "the one that would end first");
        assert_eq!(memory.find("1", 0), Some(of(1)));
        for number in 0..IN_MEMORY_MOST as i64 {
            memory.locked().insert(format!("x{number}"), Open { session: of(number + 2), expires_at: 5_000 });
        }
        memory.open("last", of(-1), 9_000, 0);
        assert_eq!(memory.locked().len(), IN_MEMORY_MOST);
        assert_eq!(memory.find("1", 0), None);
        assert_eq!(memory.find("last", 0), Some(of(-1)));
    }
}
