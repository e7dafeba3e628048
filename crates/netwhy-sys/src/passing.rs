//! Descriptors handed from process to process over a Unix socket (`SCM_RIGHTS`, unix(7)).

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::errno::Errno;
use crate::error::{Result, SysError, check_len};
use crate::fd::{Control, receive};

/// `struct cmsghdr` and one descriptor, padded.
#[repr(C)]
struct One {
    length: usize,
    level: i32,
    kind: i32,
    fd: i32,
    padding: i32,
}

/// Sends one byte and a descriptor.
pub fn send(socket: impl AsFd, fd: impl AsFd) -> Result<()> {
    let mut byte = [0_u8];
    let mut control = One {
        length: size_of::<usize>() + 12,
        level: libc::SOL_SOCKET,
        kind: libc::SCM_RIGHTS,
        fd: fd.as_fd().as_raw_fd(),
        padding: 0,
    };
    let mut vector = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: msghdr is plain numbers and pointers, valid as zeroes.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<One>() as _;
    // SAFETY: vector and control point to live buffers of the lengths stated.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    check_len(sent, "sendmsg").map(drop)
}

/// Receives one byte and the descriptor that came with it.
pub fn take(socket: impl AsFd) -> Result<OwnedFd> {
    let mut control = Control::new();
    let flags = libc::MSG_CMSG_CLOEXEC;
    let received = receive(socket.as_fd(), &mut [0], Some(&mut control), flags)?;
    let length = received.map_or(0, |received| received.control);
    let none = || SysError::new("recvmsg", "no descriptor came", Errno::ENODATA);
    let rights = |message: &crate::fd::ControlMessage<'_>| {
        message.level == libc::SOL_SOCKET && message.kind == libc::SCM_RIGHTS
    };
    let message = control.messages(length).find(rights).ok_or_else(none)?;
    let fd = message.data.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)).ok_or_else(none)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it. At most one comes with
    // one that is sent by `send`.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_is_handed_over() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        send(&a, &writer).unwrap();
        let taken = take(&b).unwrap();
        writer.write_all(b"1").unwrap();
        drop(writer);
        std::fs::File::from(taken).write_all(b"2").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "12");
        (&a).write_all(b"x").unwrap();
        assert_eq!(take(&b).unwrap_err().errno, Errno::ENODATA);
    }
}
