//! What a program writes, as lines: none too long, and not more in a second than anybody reads.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use crate::ground::clock::Stopwatch;
use crate::ground::event::Happened;

/// A line that is longer is cut, in bytes.
const LINE_LONGEST: usize = 4096;
/// Lines of one stream that are told in a second; more are counted, not told.
const LINES_A_SECOND: u64 = 1000;
const SECOND: Duration = Duration::from_secs(1);

/// Tells the lines of `stream`, each at most [`LINE_LONGEST`], at most [`LINES_A_SECOND`].
pub(super) async fn tell(mut stream: impl AsyncRead + Unpin, telling: mpsc::Sender<Happened>) {
    let mut lines = Lines::default();
    let mut allowance = Allowance::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer);
        let read = if allowance.kept_back == 0 {
            read.await
        } else {
            match tokio::time::timeout(SECOND, read).await {
                Ok(read) => read,
                Err(_elapsed) => {
                    if let Some(untold) = allowance.untold()
                        && telling.send(untold).await.is_err()
                    {
                        return;
                    }
                    continue;
                }
            }
        };
        let end = read.unwrap_or(0);
        let whole = if end == 0 { lines.rest() } else { lines.take(&buffer[..end]) };
        for text in whole {
            for what in allowance.allows(text) {
                if telling.send(what).await.is_err() {
                    return;
                }
            }
        }
        if end == 0 {
            if let Some(untold) = allowance.untold() {
                let _ = telling.send(untold).await;
            }
            return;
        }
    }
}

/// Bytes in, lines out.
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
    /// Whether the end of the line that is being read is skipped.
    cut: bool,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = LINE_LONGEST - self.line.len();
            self.cut |= text.len() > room;
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                whole.extend(self.rest());
            }
        }
        whole
    }

    /// The line so far; nothing if it is empty.
    fn rest(&mut self) -> Vec<String> {
        let line = std::mem::take(&mut self.line);
        let mut text = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        if std::mem::take(&mut self.cut) {
            text.push_str(" … (cut)");
        }
        Vec::from_iter((!text.is_empty()).then_some(text))
    }
}

/// How many lines may still be told in this second.
#[derive(Debug)]
struct Allowance {
    second: Stopwatch,
    told: u64,
    kept_back: u64,
}

impl Allowance {
    fn new() -> Self {
        Self { second: Stopwatch::start(), told: 0, kept_back: 0 }
    }

    /// What to tell of the line `text`: it, or nothing; before it, what was kept back in the last second.
    fn allows(&mut self, text: String) -> Vec<Happened> {
        let mut told = Vec::new();
        if self.second.elapsed() >= SECOND {
            told.extend(self.untold());
            *self = Self::new();
        }
        self.told += 1;
        if self.told > LINES_A_SECOND {
            self.kept_back += 1;
        } else {
            told.push(Happened::Wrote { text });
        }
        told
    }

    fn untold(&mut self) -> Option<Happened> {
        let count = std::mem::take(&mut self.kept_back);
        (count > 0).then_some(Happened::Untold { count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_come_in() {
        let mut lines = Lines::default();
        assert!(lines.take(b"one\r").is_empty());
        assert_eq!(lines.take(b"\ntwo\n\nth"), ["one", "two"]);
        assert_eq!(lines.take(b"ree \xff\n"), ["three \u{FFFD}"]);
        assert!(lines.take(b"no end").is_empty());
        assert_eq!(lines.rest(), ["no end"]);
        assert!(lines.rest().is_empty());
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_is_whole() {
        let mut lines = Lines::default();
        assert!(lines.take(&vec![b'x'; 3 * LINE_LONGEST]).is_empty());
        assert!(lines.line.len() <= LINE_LONGEST);
        let cut = lines.take(b"yyy\nnext\n");
        assert_eq!(cut[0], format!("{} … (cut)", "x".repeat(LINE_LONGEST)));
        assert_eq!(cut[1], "next");
        let fits = "z".repeat(LINE_LONGEST);
        assert_eq!(lines.take(format!("{fits}\n").as_bytes()), [fits]);
    }

    #[test]
    fn a_flood_is_counted() {
        let mut allowance = Allowance::new();
        let told: usize = (0..LINES_A_SECOND + 7).map(|_| allowance.allows("x".into()).len()).sum();
        assert_eq!(told as u64, LINES_A_SECOND);
        assert_eq!(allowance.untold(), Some(Happened::Untold { count: 7 }));
        assert_eq!(allowance.untold(), None);
    }
}
