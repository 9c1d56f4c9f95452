//! The visitors: each has a connection that it keeps, asks again as soon as it has the whole answer, and looks at each
//! answer, so that only right ones count.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ground::stop::Stop;
use crate::ground::trouble::{Trouble, cannot};
use crate::page::Page;

/// What is read at once, in bytes.
const PIECE: usize = 256 * 1024;
/// No turn takes this long unless a server is broken.
const LIMIT: Duration = Duration::from_secs(60);

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

/// Has `count` answers of `page` from `server`, over so many connections.
pub(crate) fn run(
    server: SocketAddr,
    page: Page,
    connections: usize,
    count: u32,
    stop: &Stop,
) -> Result<(), Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(cannot("ask"))?;
    let left = Cell::new(count);
    let all = async {
        let visitors = (0..connections).map(|_| visit(server, page, &left, stop));
        timeout(LIMIT, try_join_all(visitors)).await
    };
    match runtime.block_on(all) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(ended)) => Err(ended),
        Err(_) => Err(Ended::Wrong(format!("{} answers too few", left.get()))),
    }
}

async fn visit(server: SocketAddr, page: Page, left: &Cell<u32>, stop: &Stop) -> Result<(), Ended> {
    let wrong = |error: io::Error| Ended::Wrong(error.to_string());
    let request =
        format!("GET {} HTTP/1.1\r\nHost: www.foobar.com\r\nUser-Agent: bench\r\n\r\n", page.target());
    let mut stream = TcpStream::connect(server).await.map_err(wrong)?;
    stream.set_nodelay(true).map_err(wrong)?;
    let mut piece = vec![0; PIECE];
    while let Some(rest) = left.get().checked_sub(1) {
        left.set(rest);
        stop.look()?;
        stream.write_all(request.as_bytes()).await.map_err(wrong)?;
        answer(&mut stream, page, &mut piece).await?;
    }
    Ok(())
}

/// Reads one answer to its end.
async fn answer(stream: &mut TcpStream, page: Page, piece: &mut [u8]) -> Result<(), Ended> {
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
    let length = head.lines().filter_map(|line| line.split_once(": ")).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
    });
    if !head.starts_with("HTTP/1.1 200 ") || length != Some(page.bytes()) {
        return Err(Ended::Wrong(head.into_owned()));
    }
    let mut left = page.bytes().checked_sub(read - body);
    while let Some(rest @ 1..) = left {
        let most = rest.min(piece.len());
        match stream.read(&mut piece[..most]).await.map_err(wrong)? {
            0 => return Err(Ended::Wrong(format!("an end, {rest} bytes too early"))),
            more => left = rest.checked_sub(more),
        }
    }
    left.map(drop).ok_or_else(|| Ended::Wrong("more than was promised".to_owned()))
}

/// The whole answer for `page`, body only, from a connection of its own.
pub(crate) fn fetch(server: SocketAddr, page: Page) -> io::Result<Vec<u8>> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {} HTTP/1.1\r\nHost: www.foobar.com\r\nConnection: close\r\n\r\n", page.target())?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    let body = said.windows(4).position(|four| four == b"\r\n\r\n").map_or(said.len(), |end| end + 4);
    Ok(said.split_off(body))
}
