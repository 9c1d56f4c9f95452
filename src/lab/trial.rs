//! A trial: what comes into service meanwhile is taken back when it ends, also when whoever tries is killed.
//!
//! It is an open connection, as a lease is, since the kernel closes that for whoever is gone; but the lab answers over it once
//! more, so that whoever ends it knows that all is as before.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use crate::ground::lines::LineReader;

use super::control::{self, ControlError, Request, Response};
use super::directory::Directory;

/// Another process of the application is started, and the former one's requests waited for, within this.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// The end of who tries.
#[derive(Debug)]
pub struct Trial {
    stream: UnixStream,
    lab: String,
}

impl Trial {
    /// Begins one in the lab in `directory`; there is one at a time.
    pub async fn begin(directory: &Directory) -> Result<Self, ControlError> {
        match control::talk(directory, &Request::Trial).await? {
            (Response::Done(_), reader) => Ok(Self { stream: reader.into_inner(), lab: directory.name() }),
            _ => Err(ControlError::Strange(directory.name())),
        }
    }

    /// Ends it; all is as before then.
    pub async fn end(mut self) -> Result<(), ControlError> {
        let gone = || ControlError::NotUp(self.lab.clone());
        self.stream.shutdown().await.map_err(|_| gone())?;
        let mut reader = LineReader::new(&mut self.stream);
        match tokio::time::timeout(BACK_WITHIN, reader.next::<Response>()).await {
            Ok(Ok(Some(Response::Done(_)))) => Ok(()),
            Ok(Ok(Some(Response::Refused(why)))) => Err(ControlError::Refused(why)),
            Ok(Ok(None) | Err(_)) => Err(gone()),
            Ok(Ok(Some(_))) => Err(ControlError::Strange(self.lab.clone())),
            Err(_elapsed) => Err(ControlError::Silent(self.lab.clone())),
        }
    }
}
