//! Passwords, as what is costly to guess: Argon2id (RFC 9106).
//!
//! The parameters are those that RFC 9106 §4 recommends where memory is short: 64 MiB, three passes, four lanes. Only
//! one hash is computed at a time, on a thread of its own, so that the event loop goes on and the memory is bounded.
//! Blocks of that size are taken from the operating system and given back whole: at rest they cost nothing.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::refusal::Refusal;
use crate::ground::chance;

/// Memory of one hash, in KiB.
const MEMORY: u32 = 64 * 1024;

/// Passes over it.
const PASSES: u32 = 3;

/// Lanes in it. They set the cost of guessing; here they are computed one after the other.
const LANES: u32 = 4;

/// Hashes that may wait for their turn.
const WAITING_MOST: usize = 8;

/// The hash that a password is compared with where there is no account: of the same cost, and of no password.
const NOBODYS: &str =
    "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Where passwords are hashed, one after the other.
#[derive(Debug)]
pub(super) struct Passwords {
    turn: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), waiting: Arc::new(Semaphore::new(WAITING_MOST + 1)) }
    }
}

impl Passwords {
    /// The hash of `password` to keep, with its salt and cost in it.
    pub(super) async fn hash(&self, password: String) -> Result<String, Refusal> {
        let salt = chance::secret::<16>().map_err(Refusal::NoChance)?;
        self.in_turn(move || {
            let hash: Option<PasswordHash> =
                costly().and_then(|argon2| argon2.hash_password_with_salt(password.as_bytes(), &salt).ok());
            hash.map(|hash| hash.to_string())
        })
        .await?
        .ok_or(Refusal::Busy)
    }

    /// Whether `password` is the one of `hash`. Where there is no hash it is not, after the same time.
    pub(super) async fn is(&self, password: String, hash: Option<String>) -> Result<bool, Refusal> {
        self.in_turn(move || {
            let (hash, is_somebodys) = hash.map_or((NOBODYS.to_owned(), false), |hash| (hash, true));
            let is_right = PasswordHash::new(&hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
            is_right && is_somebodys
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        hashing: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let waiting = self.waiting.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let turn = self.turn.clone().acquire_owned().await.map_err(|_| Refusal::Busy)?;
        // Once begun it goes on, also when nobody waits for it any more; so the turn is its own until it ends.
        let hashing = move || {
            let hashed = hashing();
            // In this order: whoever has the turn next finds the place free.
            drop(waiting);
            drop(turn);
            hashed
        };
        spawn_blocking(hashing).await.map_err(|_| Refusal::Busy)
    }
}

fn costly() -> Option<Argon2<'static>> {
    let parameters = Params::new(MEMORY, PASSES, LANES, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_by_its_salted_hash() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=65536,t=3,p=4$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse".into()).await.unwrap(), "salted");
        assert!(passwords.is("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.is("correct horsf".into(), Some(hash)).await.unwrap());
        for no_hash in [None, Some(String::new()), Some("correct horse".into())] {
            assert!(!passwords.is("correct horse".into(), no_hash).await.unwrap());
        }
    }

    #[test]
    fn nobodys_hash_costs_as_much_as_anybodys() {
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        let parameters = Params::try_from(&nobodys).unwrap();
        assert_eq!((parameters.m_cost(), parameters.t_cost(), parameters.p_cost()), (MEMORY, PASSES, LANES));
        assert_eq!(nobodys.hash.unwrap().len(), Params::DEFAULT_OUTPUT_LEN);
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let passwords = Passwords::default();
        let _turn = passwords.turn.acquire().await.unwrap();
        let mut waiting: Vec<_> =
            (0..=WAITING_MOST).map(|_| Box::pin(passwords.is("x".into(), None))).collect();
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        let refused = passwords.is("x".into(), None).await.unwrap_err();
        assert!(matches!(refused, Refusal::Busy), "{refused:?}");
    }

    #[tokio::test]
    async fn whoever_hangs_up_leaves_no_hash_without_its_turn() {
        let passwords = Passwords::default();
        let (begins, begun) = std::sync::mpsc::channel();
        let (ends, ended) = std::sync::mpsc::channel::<()>();
        let hashing = move || {
            begins.send(()).unwrap();
            ended.recv().unwrap();
        };
        let mut asked = Box::pin(passwords.in_turn(hashing));
        assert!(futures_util::poll!(&mut asked).is_pending());
        begun.recv().unwrap();
        drop(asked);
        assert_eq!(passwords.turn.available_permits(), 0, "it is still being computed");
        ends.send(()).unwrap();
        passwords.in_turn(|| ()).await.unwrap();
        assert_eq!(passwords.waiting.available_permits(), WAITING_MOST + 1);
    }
}
