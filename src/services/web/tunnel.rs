//! A connection that has gone over to another protocol (RFC 9110 §7.8), passed through as bytes.
//!
//! What is spoken, a WebSocket (RFC 6455) mostly, is the two ends' business. Each direction ends for itself: who says
//! that nothing more will come may still hear the rest. In memory is one piece for each direction.

use std::io;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answered::Answered;
use super::upstream::Lease;

/// What is read at once, in bytes.
const PIECE: usize = 8 * 1024;

/// One that is to be opened.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) application: OnUpgrade,
    /// The connection to the application; while it is held, it counts as under way there.
    pub(super) lease: Lease,
    /// The longest that nothing may come from either side.
    pub(super) idle: Duration,
    pub(super) tasks: TaskTracker,
    pub(super) cut: CancellationToken,
}

impl Tunnel {
    /// Opens it when both sides have gone over; `answered` is over when the tunnel is.
    pub(super) fn open(self, mut answered: Answered) {
        let Self { client, application, lease, idle, tasks, cut } = self;
        tasks.spawn(async move {
            let through = async {
                let (Ok(client), Ok(application)) = tokio::join!(client, application) else { return };
                let (alive, mut heard) = watch::channel(());
                let (client, application) = (TokioIo::new(client), TokioIo::new(application));
                let ((from_client, to_client), (from_application, to_application)) =
                    (tokio::io::split(client), tokio::io::split(application));
                let both = async {
                    tokio::try_join!(
                        pass(from_client, to_application, |_| alive.send_replace(())),
                        pass(from_application, to_client, |bytes| {
                            answered.carried(bytes);
                            alive.send_replace(());
                        }),
                    )
                };
                let silent = async { while let Ok(Ok(())) = timeout(idle, heard.changed()).await {} };
                tokio::select! {
                    _ = both => {}
                    () = silent => {}
                }
            };
            tokio::select! {
                () = through => {}
                () = cut.cancelled() => {}
            }
            drop((lease, answered));
        });
    }
}

/// All that comes, until it ends; then the other side is told that nothing more will come.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut carried: impl FnMut(u64),
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..length]).await?;
        to.flush().await?;
        carried(length as u64);
    }
}
