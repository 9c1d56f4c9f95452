//! The application behind both servers: a thread that answers every request with the same page, as cheaply as can be.
//! It ends with the bench's process.

use std::io;
use std::net::SocketAddr;
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::ground::trouble::{Trouble, cannot};
use crate::page::Page;

/// The application.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
}

impl Upstream {
    /// Begins to answer.
    pub(crate) fn start() -> Result<Self, Trouble> {
        let open = || -> io::Result<_> {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            thread::Builder::new().name("application".to_owned()).spawn(move || {
                // An error ends it, and is seen as answers that are not right.
                let _ = runtime.block_on(serve(listener));
            })?;
            Ok(address)
        };
        open().map(|address| Self { address }).map_err(cannot("start the application"))
    }
}

async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        Page::Proxied.bytes()
    );
    let said: &'static [u8] = [head.into_bytes(), Page::Proxied.content()].concat().leak();
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(answer(stream, said));
    }
}

/// Answers the requests of one connection, which come one at a time and have no body.
async fn answer(mut stream: TcpStream, said: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut asked = vec![0; 16 * 1024];
    let mut length = 0;
    loop {
        match stream.read(&mut asked[length..]).await? {
            0 => return Ok(()),
            more => length += more,
        }
        if asked[..length].ends_with(b"\r\n\r\n") {
            stream.write_all(said).await?;
            length = 0;
        }
    }
}
