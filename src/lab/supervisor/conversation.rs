//! Who comes to the control socket, and what is made of the one thing that he asks.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::ground::lines::{LineReader, write_line};
use crate::lab::control::{Request, Response};
use crate::lab::desk::Desk;
use crate::lab::hold;
use crate::lab::watcher;

/// A command that has not said what it wants by then is hung up on.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// The control socket, for this user alone. A socket that a crash left is replaced: the lock is ours.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// One command's conversation with the lab; its connection, if that is to be kept as a lease.
pub(super) async fn converse(
    mut stream: UnixStream,
    desk: Arc<Desk>,
    end: CancellationToken,
    ended: CancellationToken,
) -> Option<UnixStream> {
    let request = {
        let mut reader = LineReader::new(&mut stream);
        match tokio::time::timeout(REQUEST_WITHIN, reader.next::<Request>()).await {
            Ok(Ok(Some(request))) => request,
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                let causes = vec!["the lab does not know this request".into(), error.to_string()];
                let _ = write_line(&mut stream, &Response::Refused(causes)).await;
                return None;
            }
            _ => return None,
        }
    };
    if matches!(stream.try_read(&mut [0]), Ok(0)) {
        // Whoever asked has given up: a lab that stood still must not do later what nobody wants any more.
        return None;
    }
    let response = match request {
        Request::Down => {
            end.cancel();
            ended.cancelled().await;
            Response::Done("everything is down".into())
        }
        Request::Watch(wanted) => {
            watcher::tell(stream, &desk.journal, wanted, ended).await;
            return None;
        }
        Request::Measure(mark) => {
            hold::keep(stream, &desk, mark, end).await;
            return None;
        }
        Request::Lease => return Some(stream),
        request => desk.answer(request).await,
    };
    let _ = tokio::time::timeout(REQUEST_WITHIN, write_line(&mut stream, &response)).await;
    None
}
