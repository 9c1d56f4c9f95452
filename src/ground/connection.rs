//! What the kernel knows of a TCP connection: `TCP_INFO` (tcp(7)), which `ss -i` shows too.
//!
//! It stands apart because nix has no safe call for it, and because Linux alone has it in this form: elsewhere the answer
//! is nothing.

use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

/// What the kernel measured of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// The round trip, smoothed (RFC 6298), in microseconds; after the handshake that of the SYN.
    pub round_trip_micros: u32,
    /// How far round trips lie apart, in microseconds.
    pub variation_micros: u32,
    /// Segments that were sent again, SYNs included.
    pub sent_again: u32,
    /// The largest segment that is sent, in bytes.
    pub segment_bytes: u32,
}

/// What the kernel measured of `socket`; nothing where it does not say.
pub fn measured(socket: &impl AsFd) -> Option<Measured> {
    kernel::measured(socket.as_fd())
}

/// Whether the other end of `socket` has said that nothing more will come, or is gone; no where the kernel does not say.
pub fn is_left(socket: &impl AsFd) -> bool {
    kernel::is_left(socket.as_fd())
}

#[cfg(target_os = "linux")]
mod kernel {
    #![expect(unsafe_code, reason = "the kernel is told where to write, and system calls are not Rust")]

    use std::mem::{MaybeUninit, size_of};
    use std::os::fd::{AsRawFd as _, BorrowedFd};

    use nix::libc::{IPPROTO_TCP, TCP_INFO, getsockopt, socklen_t, tcp_info};

    use super::Measured;

    /// The state of a connection of which both ends may say something (`TCP_ESTABLISHED`, tcp_states.h).
    const ESTABLISHED: u8 = 1;

    pub(super) fn is_left(socket: BorrowedFd<'_>) -> bool {
        told(socket).is_some_and(|info| info.tcpi_state != ESTABLISHED)
    }

    pub(super) fn measured(socket: BorrowedFd<'_>) -> Option<Measured> {
        let info = told(socket)?;
        Some(Measured {
            round_trip_micros: info.tcpi_rtt,
            variation_micros: info.tcpi_rttvar,
            sent_again: info.tcpi_total_retrans,
            segment_bytes: info.tcpi_snd_mss,
        })
    }

    fn told(socket: BorrowedFd<'_>) -> Option<tcp_info> {
        let mut info = MaybeUninit::<tcp_info>::zeroed();
        let mut length = socklen_t::try_from(size_of::<tcp_info>()).ok()?;
        // SAFETY: the kernel writes at most `length` bytes to `info`, which has so many and outlives the call.
        let failed = unsafe {
            getsockopt(socket.as_raw_fd(), IPPROTO_TCP, TCP_INFO, info.as_mut_ptr().cast(), &raw mut length)
        };
        if failed != 0 {
            return None;
        }
        // SAFETY: a plain structure of numbers, for which zeros are values; an older kernel writes less of it.
        Some(unsafe { info.assume_init() })
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    pub(super) fn measured(_: std::os::fd::BorrowedFd<'_>) -> Option<super::Measured> {
        None
    }

    pub(super) fn is_left(_: std::os::fd::BorrowedFd<'_>) -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn a_connection_has_a_round_trip_and_a_datagram_socket_has_none() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let measured = super::measured(&stream).unwrap();
        assert!((1..1_000_000).contains(&measured.round_trip_micros), "{measured:?}");
        assert!(measured.segment_bytes >= 536 && measured.sent_again == 0, "{measured:?}");
        assert_eq!(super::measured(&UdpSocket::bind(("127.0.0.1", 0)).unwrap()), None);
    }

    #[test]
    fn who_has_left_is_known_though_what_was_said_before_is_not_read() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut here, _) = listener.accept().unwrap();
        client.write_all(b"question").unwrap();
        assert!(!super::is_left(&here));
        drop(client);
        // Its end comes behind what it said.
        let mut read = [0; 9];
        assert_eq!((here.read(&mut read).unwrap(), here.read(&mut read).unwrap()), (8, 0));
        assert!(super::is_left(&here));
    }
}
