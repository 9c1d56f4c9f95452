//! What a database server says first: the packet with which MySQL's protocol begins, before anybody logs in.
//!
//! That a port accepts is not enough: the kernel accepts for a server that still recovers its files.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpStream, ToSocketAddrs, UnixStream};

/// A server that says nothing for so long does not serve.
const SAID_WITHIN: Duration = Duration::from_secs(2);
/// The version of the protocol that every MySQL since 3.21 and every MariaDB speaks.
const PROTOCOL: u8 = 10;
/// The first byte of a refusal (too many connections, a host that may not connect).
const REFUSAL: u8 = 0xFF;

/// Connects and waits for the greeting. A server that refuses with a word of its own serves, too.
pub async fn hear(address: impl ToSocketAddrs) -> io::Result<()> {
    hear_from(TcpStream::connect(address)).await
}

/// The same at a Unix socket.
pub async fn hear_at(socket: &Path) -> io::Result<()> {
    hear_from(UnixStream::connect(socket)).await
}

async fn hear_from<S: AsyncRead + Unpin>(connecting: impl Future<Output = io::Result<S>>) -> io::Result<()> {
    let heard = async {
        let mut stream = connecting.await?;
        let mut head = [0; 5];
        stream.read_exact(&mut head).await?;
        match head {
            // The length, three bytes, the number, which is 0, and what it is.
            [_, _, _, 0, PROTOCOL | REFUSAL] => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "what listens there does not speak MySQL's protocol",
            )),
        }
    };
    tokio::time::timeout(SAID_WITHIN, heard).await?
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn only_a_database_is_taken_for_one() {
        for (said, serves) in [
            (&b"d\0\0\0\n5.5.5-10.11"[..], true),
            (b"D\0\0\0\xffj\x04Host", true),
            (b"HTTP/1.1 200", false),
            (b"d\0", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let says = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(said).await.unwrap();
            };
            let (heard, ()) = tokio::join!(hear(address), says);
            assert_eq!(heard.is_ok(), serves, "{said:?}: {heard:?}");
        }
    }
}
