//! One JSON value a line, over any byte stream, with a limit on the line.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::channel::LONGEST_LINE;

/// Reads lines; dropping a pending [`LineReader::next`] loses nothing.
#[derive(Debug)]
pub struct LineReader<R> {
    stream: R,
    buffer: Vec<u8>,
    /// Where in `buffer` the next line starts, and up to where it is known to have no end.
    start: usize,
    searched: usize,
    /// Whether the line that is being read was too long already.
    too_long: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// Reads from `stream`.
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: Vec::new(), start: 0, searched: 0, too_long: false }
    }

    /// The stream; what was read of it and is no whole line is lost.
    pub fn into_inner(self) -> R {
        self.stream
    }

    /// The stream, to write to.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The next value; nothing at the end of the stream. A line that is too long or not a `T` is an
    /// [`io::ErrorKind::InvalidData`] error, after which the next line can be read.
    pub async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(length) = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n') {
                let end = self.searched + length;
                if std::mem::take(&mut self.too_long) {
                    self.start = end + 1;
                    self.searched = self.start;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 1 MiB"));
                }
                let value = serde_json::from_slice(&self.buffer[self.start..end])
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error));
                self.start = end + 1;
                self.searched = self.start;
                return value.map(Some);
            }
            // What was read is only moved away when more is to come, once for many lines.
            self.buffer.drain(..self.start);
            self.start = 0;
            self.searched = self.buffer.len();
            if self.searched > LONGEST_LINE {
                self.too_long = true;
                self.buffer.clear();
                self.searched = 0;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// `value` as one line, with its line end.
pub fn line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::from)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes `value` as one line.
pub async fn write_line<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), value: &T) -> io::Result<()> {
    stream.write_all(&line(value)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_out_as_they_went_in() {
        let (mut near, far) = tokio::io::duplex(7);
        let writing = async move {
            write_line(&mut near, &"one").await.unwrap();
            write_line(&mut near, &"two".repeat(10)).await.unwrap();
        };
        let mut reader = LineReader::new(far);
        let reading = async {
            assert_eq!(reader.next::<String>().await.unwrap().unwrap(), "one");
            assert_eq!(reader.next::<String>().await.unwrap().unwrap(), "two".repeat(10));
            assert!(reader.next::<String>().await.unwrap().is_none());
        };
        tokio::join!(writing, reading);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_refused_and_the_next_is_read() {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let writing = async move {
            write_line(&mut near, &"x".repeat(3 * LONGEST_LINE)).await.unwrap();
            write_line(&mut near, &7).await.unwrap();
            write_line(&mut near, &"good").await.unwrap();
        };
        let mut reader = LineReader::new(far);
        let reading = async {
            for _ in 0..2 {
                let error = reader.next::<String>().await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            }
            assert_eq!(reader.next::<String>().await.unwrap().unwrap(), "good");
        };
        tokio::join!(writing, reading);
    }
}
