//! How the kernel of one machine is told about its links, addresses and routes: rtnetlink(7), many requests in one
//! datagram, each acknowledged. Blocking: the kernel does it before it returns.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use crate::lab::network::NetworkError;

/// Requests in one datagram: their acknowledgements must fit the socket's buffer.
const TOGETHER_MOST: usize = 64;
/// The longest acknowledgement: an error with the whole request.
const ANSWER_MOST: usize = 32 << 10;
/// What each message begins at a multiple of.
const ALIGNMENT: usize = 4;

/// A socket to one machine's kernel.
#[derive(Debug)]
pub(super) struct Wire {
    socket: OwnedFd,
    sequence: u32,
}

/// What the kernel is to do.
#[derive(Debug)]
pub(super) struct Request {
    /// In words, for the error.
    pub(super) what: String,
    /// Beside those that every request has.
    pub(super) flags: u16,
    /// The request itself.
    pub(super) message: RouteNetlinkMessage,
    /// What the kernel must have for it, and its module.
    pub(super) needs: Option<(&'static str, &'static str)>,
}

impl Wire {
    /// To the network that this process is in, for good.
    pub(super) fn open() -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Has all `requests` done, in order; the first that is refused is the error, and those behind it are tried all
    /// the same.
    pub(super) fn tell(&mut self, requests: Vec<Request>) -> Result<(), NetworkError> {
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let together: Vec<Request> = requests.by_ref().take(TOGETHER_MOST).collect();
            self.tell_some(together)?;
        }
        Ok(())
    }

    fn tell_some(&mut self, requests: Vec<Request>) -> Result<(), NetworkError> {
        let mut datagram = Vec::new();
        let first = self.sequence;
        let mut told = Vec::with_capacity(requests.len());
        for Request { what, flags, message, needs } in requests {
            let mut header = NetlinkHeader::default();
            header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
            header.sequence_number = self.sequence;
            self.sequence = self.sequence.wrapping_add(1);
            let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
            message.finalize();
            let start = datagram.len();
            datagram.resize((start + message.buffer_len()).next_multiple_of(ALIGNMENT), 0);
            message.serialize(&mut datagram[start..start + message.buffer_len()]);
            told.push((what, needs));
        }
        let failed = |errno: Errno| NetworkError::Netlink(errno.into());
        send(self.socket.as_raw_fd(), &datagram, MsgFlags::empty()).map_err(failed)?;
        let mut refused = None;
        let mut answers = vec![0; ANSWER_MOST];
        let mut waiting = told.len();
        while waiting > 0 {
            let length = recv(self.socket.as_raw_fd(), &mut answers, MsgFlags::empty()).map_err(failed)?;
            let answer =
                NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answers[..length]).map_err(|error| {
                    NetworkError::Netlink(io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
                })?;
            let NetlinkPayload::Error(error) = answer.payload else { continue };
            waiting -= 1;
            if error.code.is_some() && refused.is_none() {
                let place =
                    usize::try_from(answer.header.sequence_number.wrapping_sub(first)).unwrap_or(usize::MAX);
                refused =
                    told.get_mut(place).map(|(what, needs)| (std::mem::take(what), *needs, error.to_io()));
            }
        }
        refused.map_or(Ok(()), |(what, needs, source)| Err(refusal(what, needs, source)))
    }
}

/// What it means that the kernel refused `what`, for which it `needs` something that is perhaps not there.
fn refusal(what: String, needs: Option<(&'static str, &'static str)>, source: io::Error) -> NetworkError {
    // A kind of link that no module makes is an operation that is not supported (rtnetlink(7)).
    let is_unknown = source.raw_os_error().map(Errno::from_raw) == Some(Errno::EOPNOTSUPP);
    match needs {
        Some((what, module)) if is_unknown => NetworkError::Lacking { what, module, source },
        _ => NetworkError::Refused { what, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_not_there_is_named_with_what_loads_it() {
        let needs = Some(("virtual cables (veth)", "veth"));
        let said =
            |needs, errno: Errno| refusal("the cable client-home".into(), needs, errno.into()).to_string();
        assert_eq!(
            said(needs, Errno::EOPNOTSUPP),
            "this kernel has no virtual cables (veth): `sudo modprobe veth` may load it; else use `--network loopback`"
        );
        assert_eq!(said(needs, Errno::EEXIST), "cannot make the cable client-home");
        assert_eq!(said(None, Errno::EOPNOTSUPP), "cannot make the cable client-home");
    }
}
