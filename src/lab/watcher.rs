//! A command that watches: events go to it, one a line, until it hangs up or the lab has ended.
//!
//! It stands apart from the desk, which answers once. One that does not read what it asked for waits here alone: its
//! events wait in the journal's bounded queue, and are counted when that is full.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::ground::lines::write_line;

use super::control::Response;
use super::journal::{Entry, Heard, Journal, Wanted};

/// Events that are written in one go.
const BATCH: usize = 128;
/// The last events of a lab are read by then, or never.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Tells `stream` what `wanted` wants until nobody reads or `ended`.
pub(super) async fn tell(
    mut stream: UnixStream,
    journal: &Journal,
    wanted: Wanted,
    ended: CancellationToken,
) {
    let heard = wanted.check().and_then(|()| {
        journal.watch(wanted).ok_or_else(|| "too many watch already: end one of them (^C)".into())
    });
    let mut heard = match heard {
        Ok(heard) => heard,
        Err(why) => {
            let _ = write_line(&mut stream, &Response::Refused(vec![why])).await;
            return;
        }
    };
    if write_line(&mut stream, &Response::Watching).await.is_ok() {
        let _ = tell_on(&mut stream, &mut heard, ended).await;
    }
}

async fn tell_on(stream: &mut UnixStream, heard: &mut Heard, ended: CancellationToken) -> io::Result<()> {
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            () = heard.next(&mut batch, BATCH) => {}
            () = ended.cancelled() => {
                let rest = lines(&heard.rest());
                return tokio::time::timeout(LAST_WORDS, stream.write_all(rest.as_bytes())).await?;
            }
            // It has nothing more to say: what can be read is that it hung up.
            readable = stream.readable() => match readable.and_then(|()| stream.try_read(&mut [0])) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                _ => return Ok(()),
            },
        }
        let text = lines(&batch);
        batch.clear();
        let written = stream.write_all(text.as_bytes());
        tokio::pin!(written);
        tokio::select! {
            written = &mut written => written?,
            () = ended.cancelled() => tokio::time::timeout(LAST_WORDS, written).await??,
        }
    }
}

/// [`Response::Happened`], written with the JSON that each event has already.
fn lines(entries: &[Arc<Entry>]) -> String {
    entries.iter().map(|entry| format!("{{\"happened\":{}}}\n", entry.json)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::event::Happened;
    use crate::ground::lines::LineReader;

    #[tokio::test]
    async fn events_come_as_responses_until_the_lab_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(&directory.path().join("journal.jsonl")).unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        let ended = CancellationToken::new();
        let telling = tell(far, &journal, Wanted::default(), ended.clone());
        let hearing = async {
            let mut reader = LineReader::new(near);
            assert_eq!(reader.next().await.unwrap(), Some(Response::Watching));
            for text in ["one", "two"] {
                journal.note(text);
                let Some(Response::Happened(event)) = reader.next().await.unwrap() else { panic!("{text}") };
                assert_eq!(event.what, Happened::Note { text: text.into() });
            }
            journal.note("last");
            ended.cancel();
            assert!(matches!(reader.next().await.unwrap(), Some(Response::Happened(_))));
            assert_eq!(reader.next::<Response>().await.unwrap(), None);
        };
        tokio::join!(telling, hearing);
    }

    #[tokio::test]
    async fn who_hangs_up_is_told_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let journal = Journal::open(&directory.path().join("journal.jsonl")).unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        let telling = tell(far, &journal, Wanted::default(), CancellationToken::new());
        let hearing = async {
            let mut reader = LineReader::new(near);
            assert_eq!(reader.next().await.unwrap(), Some(Response::Watching));
            drop(reader);
        };
        tokio::join!(telling, hearing);
    }
}
