//! The visitors: each asks again as soon as it has the whole answer, over a connection that it keeps or over a new one each
//! time, and looks at each answer, so that only right ones count.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use wwwlab::ground::clock::Stopwatch;

use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot};

/// What is read at once, in bytes.
const PIECE: usize = 256 * 1024;
/// No turn takes this long unless a server is broken.
const LIMIT: Duration = Duration::from_secs(60);

/// The site that every server is asked for.
const SITE: &str = "www.foobar.com";

/// How a server is come to.
#[derive(Clone)]
#[allow(dead_code, reason = "one bench alone asks by TLS")]
pub(crate) struct Door {
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// With what hands are shaken, where TLS is spoken.
    pub(crate) tls: Option<TlsConnector>,
    /// Whether each visitor keeps its connection.
    pub(crate) stays: bool,
}

impl Door {
    /// Without TLS, over connections that are kept.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None, stays: true }
    }

    async fn open(&self) -> io::Result<Box<dyn Line>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let site = ServerName::try_from(SITE).map_err(io::Error::other)?;
        Ok(Box::new(tls.connect(site, stream).await?))
    }
}

/// A connection, sealed or not.
trait Line: AsyncRead + AsyncWrite + Unpin {}
impl<L: AsyncRead + AsyncWrite + Unpin> Line for L {}

/// What is asked for, and what makes an answer the right one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// Where it is.
    pub(crate) target: &'a str,
    /// What it is.
    pub(crate) body: Body<'a>,
}

/// What the body of a right answer is.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "each bench asks for one of them")]
pub(crate) enum Body<'a> {
    /// So many bytes.
    Bytes(usize),
    /// A page with all of these in it, and its end; of 256 KiB at most.
    Words(&'a [String]),
}

/// Why not all answers were right.
#[derive(Debug)]
pub(crate) enum Ended {
    Early(Trouble),
    /// What came instead of a right answer.
    Wrong(String),
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Self {
        Self::Early(trouble)
    }
}

/// Has `count` answers of what is wanted through `door`, over so many connections at a time; how long each took, with its
/// connection where that is a new one.
pub(crate) fn run(
    door: &Door,
    wanted: Wanted,
    connections: usize,
    count: u32,
    stop: &Stop,
) -> Result<Vec<Duration>, Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(cannot("ask"))?;
    let left = Cell::new(count);
    let all = async {
        let visitors = (0..connections).map(|_| visit(door, wanted, &left, stop));
        timeout(LIMIT, try_join_all(visitors)).await
    };
    match runtime.block_on(all) {
        Ok(Ok(times)) => Ok(times.concat()),
        Ok(Err(ended)) => Err(ended),
        Err(_) => Err(Ended::Wrong(format!("{} answers too few", left.get()))),
    }
}

async fn visit(
    door: &Door,
    wanted: Wanted<'_>,
    left: &Cell<u32>,
    stop: &Stop,
) -> Result<Vec<Duration>, Ended> {
    let wrong = |error: io::Error| Ended::Wrong(error.to_string());
    let ends = if door.stays { "" } else { "Connection: close\r\n" };
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {SITE}\r\nUser-Agent: bench\r\n{ends}\r\n", wanted.target);
    let mut kept = None;
    let mut piece = vec![0; PIECE];
    let mut times = Vec::new();
    while let Some(rest) = left.get().checked_sub(1) {
        left.set(rest);
        stop.look()?;
        let watch = Stopwatch::start();
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => door.open().await.map_err(wrong)?,
        };
        stream.write_all(request.as_bytes()).await.map_err(wrong)?;
        stream.flush().await.map_err(wrong)?;
        match wanted.body {
            Body::Bytes(bytes) => answer(&mut stream, bytes, &mut piece).await?,
            Body::Words(words) => page(&mut stream, words, &mut piece).await?,
        }
        times.push(watch.elapsed());
        kept = door.stays.then_some(stream);
    }
    Ok(times)
}

/// Reads one page to its end, and looks for the words.
async fn page(stream: &mut Box<dyn Line>, words: &[String], piece: &mut [u8]) -> Result<(), Ended> {
    let mut read = 0;
    loop {
        let more = stream.read(&mut piece[read..]).await.map_err(|error| Ended::Wrong(error.to_string()))?;
        read += more;
        let said = &piece[..read];
        let body = said.windows(4).position(|four| four == b"\r\n\r\n").and_then(|end| {
            let body = &said[end + 4..];
            match length(&String::from_utf8_lossy(&said[..end])) {
                Some(length) => (body.len() >= length).then(|| body.to_vec()),
                None => joined(body),
            }
        });
        if body.is_some() || more == 0 {
            let page = String::from_utf8_lossy(body.as_deref().unwrap_or_default());
            let is_right = said.starts_with(b"HTTP/1.1 200 ") && page.contains("</html>");
            return match words.iter().find(|words| !page.contains(words.as_str())) {
                None if is_right => Ok(()),
                missing => Err(Ended::Wrong(format!(
                    "a page without {missing:?}: {}",
                    String::from_utf8_lossy(said)
                ))),
            };
        }
    }
}

/// The pieces of a body in chunks, once its last one has come.
fn joined(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(str::from_utf8(&body[..end]).ok()?, 16).ok()?;
        let (chunk, rest) = body[end + 2..].split_at_checked(size)?;
        all.extend_from_slice(chunk);
        body = rest.strip_prefix(b"\r\n")?;
        if size == 0 {
            return Some(all);
        }
    }
}

/// What a head says of its body.
fn length(head: &str) -> Option<usize> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?)
}

/// Reads one answer to its end.
async fn answer(stream: &mut Box<dyn Line>, bytes: usize, piece: &mut [u8]) -> Result<(), Ended> {
    let wrong = |error: io::Error| Ended::Wrong(error.to_string());
    let mut read = 0;
    let body = loop {
        let more = stream.read(&mut piece[read..]).await.map_err(wrong)?;
        read += more;
        let so_far = &piece[..read];
        if let Some(end) = so_far.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if more == 0 {
            return Err(Ended::Wrong(format!("an end after {:?}", String::from_utf8_lossy(so_far))));
        }
    };
    let head = String::from_utf8_lossy(&piece[..body]);
    if !head.starts_with("HTTP/1.1 200 ") || length(&head) != Some(bytes) {
        return Err(Ended::Wrong(head.into_owned()));
    }
    let mut left = bytes.checked_sub(read - body);
    while let Some(rest @ 1..) = left {
        let most = rest.min(piece.len());
        match stream.read(&mut piece[..most]).await.map_err(wrong)? {
            0 => return Err(Ended::Wrong(format!("an end, {rest} bytes too early"))),
            more => left = rest.checked_sub(more),
        }
    }
    left.map(drop).ok_or_else(|| Ended::Wrong("more than was promised".to_owned()))
}
