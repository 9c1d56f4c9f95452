//! An application that speaks FastCGI, as PHP's process manager does (FastCGI 1.0, RFC 3875).
//!
//! It stands at the far end of a pipe in memory, where it is an HTTP server with one request for one connection: so the
//! proxy asks it as it asks any application, with the same bounds on bodies, the same patience and the same failures. Each
//! request has a FastCGI connection of its own; question and answer flow at the same time, piece by piece.

mod records;
mod variables;

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::CONTENT_LENGTH;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ground::journal::Journal;

use records::{HEAD, Head};

/// The head of a script's answer at most, in bytes.
const HEAD_MOST: usize = 32 * 1024;
/// What a script complains of while it answers one request, as far as it is told, in bytes.
const COMPLAINT_MOST: usize = 2048;
/// Of a body so much is held back until all of it came, in bytes: PHP takes what was broken off for the whole, and would
/// keep half a form. A longer one goes on as it comes.
const HELD_MOST: usize = 64 * 1024;
/// Pieces of an answer that may wait for the client.
const PIECES_MOST: usize = 2;

/// The scripts and who hears of their complaints.
#[derive(Debug, Clone)]
pub(super) struct Scripts {
    /// Where `index.php` is, absolute.
    pub(super) root: PathBuf,
    pub(super) journal: Journal,
}

/// Answers the one request that comes over `pipe` through `line`, a connection to the process manager.
pub(super) async fn serve(pipe: DuplexStream, line: TcpStream, scripts: Scripts) {
    let line = Mutex::new(Some(line));
    let scripts = Arc::new(scripts);
    let answer = service_fn(|request| {
        let line = line.lock().unwrap_or_else(PoisonError::into_inner).take();
        let scripts = scripts.clone();
        async move {
            let line = line.ok_or_else(|| io::Error::from(ErrorKind::NotConnected))?;
            answer(request, line, scripts).await
        }
    });
    // How it ended is told to the request that it carried.
    let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(pipe), answer).await;
}

async fn answer(
    request: Request<Incoming>,
    line: TcpStream,
    scripts: Arc<Scripts>,
) -> io::Result<Response<Answer>> {
    let (parts, body) = request.into_parts();
    if !body.is_end_stream() && !parts.headers.contains_key(CONTENT_LENGTH) {
        // RFC 3875 §4.2: a script reads as much as CONTENT_LENGTH says.
        let mut refused = Response::new(Answer { pieces: None, _tasks: JoinSet::new() });
        *refused.status_mut() = StatusCode::LENGTH_REQUIRED;
        return Ok(refused);
    }
    let (reading, writing) = line.into_split();
    let mut tasks = JoinSet::new();
    let variables = variables::variables(&parts, &scripts.root);
    tasks.spawn(async move {
        // A script may answer without reading all of it, and close.
        let _ = ask(writing, &variables, body).await;
    });
    let mut incoming = Reader { line: reading, left: 0, padding: 0, complaint: Vec::new(), scripts };
    let (head, first) = incoming.head().await?;
    let made = variables::response(&head).ok_or(ErrorKind::InvalidData)?;
    let (telling, pieces) = mpsc::channel(PIECES_MOST);
    tasks.spawn(async move {
        if !first.is_empty() && telling.send(Ok(first)).await.is_err() {
            return;
        }
        loop {
            let piece = incoming.piece().await.transpose();
            let Some(piece) = piece else { return };
            let failed = piece.is_err();
            if telling.send(piece).await.is_err() || failed {
                return;
            }
        }
    });
    Ok(made.map(|()| Answer { pieces: Some(pieces), _tasks: tasks }))
}

/// Sends the question: the variables, then the body; a short one when it is whole, a long one as it comes.
async fn ask(mut line: OwnedWriteHalf, variables: &[u8], mut body: Incoming) -> io::Result<()> {
    let mut held = Vec::new();
    while held.len() < HELD_MOST
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            held.extend_from_slice(&data);
        }
    }
    let mut out = Vec::new();
    records::begin(&mut out);
    records::write(records::PARAMS, variables, &mut out);
    records::end(records::PARAMS, &mut out);
    records::write(records::STDIN, &held, &mut out);
    drop(held);
    line.write_all(&out).await?;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        out.clear();
        records::write(records::STDIN, &data, &mut out);
        line.write_all(&out).await?;
    }
    out.clear();
    records::end(records::STDIN, &mut out);
    line.write_all(&out).await?;
    // To close this half now would be to say that nobody waits for the answer.
    std::future::pending::<Infallible>().await;
    Ok(())
}

/// What comes back, record by record.
struct Reader {
    line: OwnedReadHalf,
    /// What is left of the record of the answer that is being read.
    left: usize,
    padding: usize,
    complaint: Vec<u8>,
    scripts: Arc<Scripts>,
}

impl Reader {
    /// The head of the answer, and what came of its body with it.
    async fn head(&mut self) -> io::Result<(Vec<u8>, Bytes)> {
        let mut read = Vec::new();
        while let Some(piece) = self.piece().await? {
            let searched = read.len().saturating_sub(3);
            read.extend_from_slice(&piece);
            if let Some((head, body)) = end_of_head(&read, searched) {
                let body = Bytes::copy_from_slice(&read[body..]);
                read.truncate(head);
                return Ok((read, body));
            }
            if read.len() > HEAD_MOST {
                return Err(io::Error::new(ErrorKind::InvalidData, "the head of the answer is too long"));
            }
        }
        Err(ErrorKind::UnexpectedEof.into())
    }

    /// The next piece of the answer; nothing at its proper end.
    async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if self.left > 0 {
                let mut piece = vec![0; self.left.min(16 * 1024)];
                let length = self.line.read(&mut piece).await?;
                if length == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                piece.truncate(length);
                self.left -= length;
                return Ok(Some(piece.into()));
            }
            let padding = std::mem::take(&mut self.padding);
            self.take(padding).await?;
            let mut head = [0; HEAD];
            self.line.read_exact(&mut head).await?;
            let head = Head::read(head).ok_or(ErrorKind::InvalidData)?;
            match head.kind {
                records::STDOUT => (self.left, self.padding) = (head.content, head.padding),
                records::END_REQUEST => {
                    let end = self.take(head.content).await?;
                    self.complain();
                    let why = "it was not carried out";
                    return if records::completed(&end) { Ok(None) } else { Err(io::Error::other(why)) };
                }
                records::STDERR => {
                    let said = self.take(head.content).await?;
                    let room = COMPLAINT_MOST.saturating_sub(self.complaint.len());
                    self.complaint.extend_from_slice(&said[..said.len().min(room)]);
                    self.take(head.padding).await?;
                }
                _ => drop(self.take(head.content + head.padding).await?),
            }
        }
    }

    async fn take(&mut self, length: usize) -> io::Result<Bytes> {
        let mut taken = vec![0; length];
        self.line.read_exact(&mut taken).await?;
        Ok(taken.into())
    }

    fn complain(&mut self) {
        let said = std::mem::take(&mut self.complaint);
        // Each line for itself: what a script says must not look like a line of the log's own.
        for line in String::from_utf8_lossy(&said).lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.scripts.journal.note(format!("the application complains: {line}"));
        }
    }
}

/// Where a head ends and where the body after it begins, looking from `from` on.
fn end_of_head(read: &[u8], from: usize) -> Option<(usize, usize)> {
    (from..read.len()).find_map(|at| match &read[at..] {
        [b'\n', b'\n', ..] => Some((at + 1, at + 2)),
        [b'\n', b'\r', b'\n', ..] => Some((at + 1, at + 3)),
        _ => None,
    })
}

/// A script's answer as it arrives; its connection ends with it.
struct Answer {
    pieces: Option<mpsc::Receiver<io::Result<Bytes>>>,
    _tasks: JoinSet<()>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.pieces {
            Some(pieces) => pieces.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_none()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::ground::journal::journal;

    /// What a client hears when the process manager says `said`, whatever it is asked, and closes.
    async fn heard(said: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut manager, _) = listener.accept().await.unwrap();
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let scripts = Scripts { root: "/lab/php".into(), journal: journal().0 };
        let serving = tokio::spawn(serve(far, line, scripts));
        near.write_all(b"GET / HTTP/1.1\r\nHost: www.foobar.com\r\n\r\n").await.unwrap();
        let mut begun = [0; HEAD];
        manager.read_exact(&mut begun).await.unwrap();
        manager.write_all(&said).await.unwrap();
        manager.shutdown().await.unwrap();
        let mut heard = String::new();
        near.read_to_string(&mut heard).await.unwrap();
        serving.await.unwrap();
        heard
    }

    fn ended(said: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        said.iter().for_each(|(kind, content)| records::write(*kind, content, &mut out));
        records::write(records::END_REQUEST, &[0; 8], &mut out);
        out
    }

    #[tokio::test]
    async fn an_answer_in_any_pieces_is_one_answer() {
        let said: Vec<(u8, &[u8])> = vec![
            (records::STDOUT, b"Status: 404\r\nX-A: b\r"),
            (records::STDERR, b"a complaint"),
            (records::STDOUT, b"\n\r"),
            (200, b"a record of a type that nobody knows"),
            (records::STDOUT, b"\npa"),
            (records::STDOUT, b"ge"),
        ];
        let heard = heard(ended(&said)).await;
        assert!(heard.starts_with("HTTP/1.1 404 Not Found\r\n"), "{heard}");
        assert!(heard.contains("x-a: b") && heard.ends_with("2\r\npa\r\n2\r\nge\r\n0\r\n\r\n"), "{heard}");
    }

    #[tokio::test]
    async fn what_is_no_answer_is_none() {
        let long = vec![b'x'; 2 * HEAD_MOST];
        let mut cut = ended(&[(records::STDOUT, b"X-A: b\r\n\r\npage")]);
        cut.truncate(12);
        for said in [
            Vec::new(),
            b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
            ended(&[]),
            ended(&[(records::STDOUT, b"no head at all")]),
            ended(&[(records::STDOUT, b"Status: 99\r\n\r\n")]),
            ended(&[(records::STDOUT, &long)]),
            cut,
        ] {
            let heard = heard(said.clone()).await;
            assert_eq!(heard, "", "{}", String::from_utf8_lossy(&said[..said.len().min(80)]));
        }
    }

    #[tokio::test]
    async fn a_form_that_breaks_off_is_not_begun() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut manager, _) = listener.accept().await.unwrap();
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let scripts = Scripts { root: "/lab/php".into(), journal: journal().0 };
        let serving = tokio::spawn(serve(far, line, scripts));
        let form = "POST / HTTP/1.1\r\nHost: www.foobar.com\r\nContent-Length: 20\r\n\r\namount=1";
        near.write_all(form.as_bytes()).await.unwrap();
        drop(near);
        let mut begun = Vec::new();
        manager.read_to_end(&mut begun).await.unwrap();
        assert!(begun.is_empty(), "{}", String::from_utf8_lossy(&begun));
        // As it does when nothing was asked.
        drop(manager);
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_has_no_end() {
        let mut said = ended(&[(records::STDOUT, b"X-A: b\r\n\r\npage")]);
        said.truncate(said.len() - 16);
        let heard = heard(said).await;
        assert!(heard.starts_with("HTTP/1.1 200 OK\r\n") && !heard.ends_with("0\r\n\r\n"), "{heard}");
    }
}
