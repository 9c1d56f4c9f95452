//! Many datagrams in one system call: recvmmsg(2) and sendmmsg(2), which Linux has.
//!
//! It stands apart because it is the one place here that hands pointers to the kernel. nix wraps both calls, but
//! gives all that is sent together one source address, and does not renew the lengths in a header that is used again.
//!
//! An answer goes out with what the kernel told of its question as it stands: the sender's address is where it goes
//! to, and the address that was asked is where it comes from.

#![expect(unsafe_code, reason = "the kernel is told where to write, and system calls are not Rust")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc::{
    AF_INET, AF_INET6, CMSG_DATA, CMSG_FIRSTHDR, CMSG_NXTHDR, IP_PKTINFO, IPPROTO_IP, c_uint, in_pktinfo,
    iovec, mmsghdr, recvmmsg, sendmmsg, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t,
};

use super::{BATCH, LONGEST, TOLD};

/// Octets from one question to the next: no power of two, so that their beginnings do not compete for the same
/// lines of the processor's cache.
const STRIDE: usize = LONGEST + 64;

/// What the kernel tells of a datagram, aligned as its headers are.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Told([u8; TOLD]);

/// Room for [`BATCH`] datagrams and the headers of their answers, made once.
pub(super) struct Slots {
    /// One for each datagram; they point into the four below, which never grow.
    questions: Vec<mmsghdr>,
    parts: Vec<iovec>,
    addresses: Vec<sockaddr_storage>,
    told: Vec<Told>,
    octets: Vec<u8>,
    /// Those of the answers, made anew for each call.
    answers: Vec<mmsghdr>,
    answer_parts: Vec<iovec>,
    /// Datagrams received: so many headers must have their lengths renewed.
    count: usize,
}

// SAFETY: the pointers in the headers lead to memory that the same value owns and that does not move with it.
unsafe impl Send for Slots {}

impl Slots {
    pub(super) fn new() -> Self {
        // SAFETY: all three are plain structures of C, of numbers and pointers, for which zeros are values.
        let (header, address) = unsafe {
            (
                MaybeUninit::<mmsghdr>::zeroed().assume_init(),
                MaybeUninit::<sockaddr_storage>::zeroed().assume_init(),
            )
        };
        let no_part = iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let mut slots = Self {
            questions: vec![header; BATCH],
            parts: vec![no_part; BATCH],
            addresses: vec![address; BATCH],
            told: vec![Told([0; TOLD]); BATCH],
            octets: vec![0; BATCH * STRIDE],
            answers: vec![header; BATCH],
            answer_parts: vec![no_part; BATCH],
            count: BATCH,
        };
        let (parts, addresses) = (slots.parts.as_mut_ptr(), slots.addresses.as_mut_ptr());
        let (told, octets) = (slots.told.as_mut_ptr(), slots.octets.as_mut_ptr());
        for (index, header) in slots.questions.iter_mut().enumerate() {
            // SAFETY: each vector has BATCH elements (the octets, BATCH times STRIDE), and `index` is below that.
            unsafe {
                *parts.add(index) = iovec { iov_base: octets.add(index * STRIDE).cast(), iov_len: LONGEST };
                header.msg_hdr.msg_iov = parts.add(index);
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_name = addresses.add(index).cast();
                header.msg_hdr.msg_control = told.add(index).cast();
            }
        }
        slots
    }

    /// Receives what is there, at most [`BATCH`] datagrams; how many came.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        for header in &mut self.questions[..self.count] {
            header.msg_hdr.msg_namelen = NAME;
            header.msg_hdr.msg_controllen = TOLD as _;
        }
        // Until it is known how many headers were used, all are.
        self.count = BATCH;
        // SAFETY: there are BATCH headers, and each names room for one datagram, its sender and what is told of it,
        // with their lengths.
        let received =
            unsafe { recvmmsg(socket.as_raw_fd(), self.questions.as_mut_ptr(), MOST, 0, ptr::null_mut()) };
        self.count = usize::try_from(Errno::result(received)?).unwrap_or(0).min(BATCH);
        for header in &mut self.questions[..self.count] {
            forget_interface(header);
        }
        Ok(self.count)
    }

    /// The datagram `index`, below the number received; a longer one than [`LONGEST`] is cut.
    pub(super) fn question(&self, index: usize) -> &[u8] {
        let length = usize::try_from(self.questions[index].msg_len).unwrap_or(0).min(LONGEST);
        &self.octets[index * STRIDE..][..length]
    }

    /// Who sent it.
    pub(super) fn client(&self, index: usize) -> Option<SocketAddr> {
        let address: *const sockaddr_storage = &self.addresses[index];
        let length = self.questions[index].msg_hdr.msg_namelen;
        match i32::from(self.addresses[index].ss_family) {
            AF_INET if length as usize >= size_of::<sockaddr_in>() => {
                // SAFETY: the kernel has written an address of this family, and says that it is whole.
                let v4 = unsafe { *address.cast::<sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some((ip, u16::from_be(v4.sin_port)).into())
            }
            AF_INET6 if length as usize >= size_of::<sockaddr_in6>() => {
                // SAFETY: the same.
                let v6 = unsafe { *address.cast::<sockaddr_in6>() };
                let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
                Some(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    /// Sends the `replies` of the slots in `order` to their senders; how many of them went. An error is that of
    /// the first, and the others are not tried.
    pub(super) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        replies: &mut [Vec<u8>],
        order: &[usize],
    ) -> io::Result<usize> {
        let mut count = 0;
        let headers = self.answers.iter_mut().zip(&mut self.answer_parts);
        for ((header, part), &index) in headers.zip(order) {
            let (question, reply) = (&self.questions[index].msg_hdr, &mut replies[index]);
            *part = iovec { iov_base: reply.as_mut_ptr().cast(), iov_len: reply.len() };
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = question.msg_name;
            header.msg_hdr.msg_namelen = question.msg_namelen;
            header.msg_hdr.msg_control = question.msg_control;
            header.msg_hdr.msg_controllen = question.msg_controllen;
            count += 1;
        }
        // SAFETY: `count` headers were just made, none of them with a length beyond what it points to; `replies` and
        // the questions' addresses stay borrowed until the call is over.
        let sent = unsafe { sendmmsg(socket.as_raw_fd(), self.answers.as_mut_ptr(), count, 0) };
        Ok(usize::try_from(Errno::result(sent)?).unwrap_or(0))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is 64")]
const MOST: c_uint = BATCH as c_uint;

/// Octets of room for an address.
#[expect(clippy::cast_possible_truncation, reason = "it is 128")]
const NAME: socklen_t = size_of::<sockaddr_storage>() as socklen_t;

/// The interface is left to the routes: an answer may leave by another than the question came. Only an IPv6
/// address may be one just together with its interface.
fn forget_interface(header: &mut mmsghdr) {
    if header.msg_hdr.msg_controllen == 0 {
        return;
    }
    // SAFETY: the kernel has filled the control data that the header points to, aligned and as long as it says;
    // the macros stay within it, and an IP_PKTINFO holds that structure, which need not be aligned.
    unsafe {
        let mut told = CMSG_FIRSTHDR(&header.msg_hdr);
        while !told.is_null() {
            if ((*told).cmsg_level, (*told).cmsg_type) == (IPPROTO_IP, IP_PKTINFO) {
                let place = CMSG_DATA(told).cast::<in_pktinfo>();
                let info = place.read_unaligned();
                place.write_unaligned(in_pktinfo { ipi_ifindex: 0, ..info });
            }
            told = CMSG_NXTHDR(&header.msg_hdr, told);
        }
    }
}
