//! The user's wish that a command ends.

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the user asks for it: ^C, SIGTERM, or a closed terminal.
pub(super) fn asked_to_quit() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}
