//! A value that is in service: whoever looks has it whole, and another takes its place whole.

use std::sync::{Arc, Mutex, PoisonError};

/// The one in service. A plain mutex: held for a look.
#[derive(Debug, Clone, Default)]
pub struct Held<T>(Arc<Mutex<T>>);

impl<T: Clone> Held<T> {
    /// With this one.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    /// The one in service.
    pub fn get(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `next` in its place.
    pub fn put(&self, next: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}
