//! Descriptors and the calls every kind of socket shares: options, addresses, messages with control data.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::errno::Errno;
use crate::error::{Result, SysError, check, check_len};

/// socket(2), closed on exec.
pub(crate) fn socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd> {
    // SAFETY: takes and returns plain numbers.
    let fd = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) }, "socket")?;
    // SAFETY: the kernel has just given us this descriptor and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// setsockopt(2) with an option that holds no pointers.
pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &[u8],
    operation: &'static str,
) -> Result<()> {
    // SAFETY: the callers of this safe function pass no option whose value is a structure with pointers.
    unsafe { set_option_with_pointers(fd, level, name, value, operation) }
}

/// setsockopt(2) with any option.
///
/// # Safety
/// Pointers in the value must be good for what the option does with them until the call returns.
pub(crate) unsafe fn set_option_with_pointers(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &[u8],
    operation: &'static str,
) -> Result<()> {
    // SAFETY: the kernel reads at most the stated length from the slice; what it points to is the caller's
    // promise.
    let code = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), value.len() as libc::socklen_t)
    };
    check(code, operation).map(drop)
}

/// setsockopt(2) with an `int`.
pub(crate) fn set_int(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32, op: &'static str) -> Result<()> {
    set_option(fd, level, name, &value.to_ne_bytes(), op)
}

/// getsockopt(2) into `buffer`; the length the kernel wrote.
pub(crate) fn get_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    buffer: &mut [u8],
    operation: &'static str,
) -> Result<usize> {
    // SAFETY: the callers of this safe function pass no option whose value is a structure with pointers.
    unsafe { get_option_with_pointers(fd, level, name, buffer, operation) }
}

/// getsockopt(2) of any option.
///
/// # Safety
/// Pointers in the buffer must be good for what the option does with them until the call returns.
pub(crate) unsafe fn get_option_with_pointers(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    buffer: &mut [u8],
    operation: &'static str,
) -> Result<usize> {
    let mut length = buffer.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is what the slice holds; what it points to is
    // the caller's promise.
    let code =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, buffer.as_mut_ptr().cast(), &raw mut length) };
    check(code, operation)?;
    Ok((length as usize).min(buffer.len()))
}

/// getsockopt(2) of an `int`.
pub(crate) fn get_int(fd: BorrowedFd<'_>, level: i32, name: i32, operation: &'static str) -> Result<i32> {
    let mut bytes = [0; 4];
    get_option(fd, level, name, &mut bytes, operation)?;
    Ok(i32::from_ne_bytes(bytes))
}

/// bind(2) to a `sockaddr` given as the bytes the kernel expects.
pub(crate) fn bind(fd: BorrowedFd<'_>, address: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads the stated length from the slice.
    let code =
        unsafe { libc::bind(fd.as_raw_fd(), address.as_ptr().cast(), address.len() as libc::socklen_t) };
    check(code, "bind").map(drop)
}

/// connect(2) to a `sockaddr` given as bytes.
pub(crate) fn connect(fd: BorrowedFd<'_>, address: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads the stated length from the slice.
    let code =
        unsafe { libc::connect(fd.as_raw_fd(), address.as_ptr().cast(), address.len() as libc::socklen_t) };
    check(code, "connect").map(drop)
}

/// A `sockaddr` the kernel filled in.
#[derive(Clone, Copy)]
pub(crate) struct RawAddress {
    bytes: [u8; 128],
    length: usize,
}

impl RawAddress {
    const EMPTY: RawAddress = RawAddress { bytes: [0; 128], length: 0 };

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

/// getsockname(2).
pub(crate) fn local_address(fd: BorrowedFd<'_>) -> Result<RawAddress> {
    name_of(fd, "getsockname", libc::getsockname)
}

/// getpeername(2).
pub(crate) fn peer_address(fd: BorrowedFd<'_>) -> Result<RawAddress> {
    name_of(fd, "getpeername", libc::getpeername)
}

fn name_of(
    fd: BorrowedFd<'_>,
    operation: &'static str,
    call: unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut libc::socklen_t) -> i32,
) -> Result<RawAddress> {
    let mut address = RawAddress::EMPTY;
    let mut length = address.bytes.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is what the array holds.
    let code = unsafe { call(fd.as_raw_fd(), address.bytes.as_mut_ptr().cast(), &raw mut length) };
    check(code, operation)?;
    address.length = (length as usize).min(address.bytes.len());
    Ok(address)
}

/// Room for control messages, aligned as `struct cmsghdr` wants.
#[repr(align(8))]
pub(crate) struct Control([u8; 512]);

impl Control {
    pub(crate) const fn new() -> Self {
        Control([0; 512])
    }
}

/// One received datagram; its data is in the caller's buffers.
pub(crate) struct Received {
    /// Bytes in the buffer.
    pub(crate) length: usize,
    /// Bytes the datagram has; more than `length` if it was cut (with `MSG_TRUNC` asked for).
    pub(crate) full: usize,
    /// Who sent it.
    pub(crate) source: RawAddress,
    /// Bytes of control data.
    pub(crate) control: usize,
}

/// recvmsg(2), repeated when a signal interrupts it. `None`: nothing there (`EAGAIN`).
pub(crate) fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: Option<&mut Control>,
    flags: i32,
) -> Result<Option<Received>> {
    let mut source = RawAddress::EMPTY;
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is plain numbers and pointers, valid as zeroes.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = source.bytes.as_mut_ptr().cast();
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    let room = control.as_ref().map_or(0, |space| space.0.len());
    message.msg_control = control.map_or(std::ptr::null_mut(), |space| space.0.as_mut_ptr().cast());
    loop {
        message.msg_namelen = source.bytes.len() as libc::socklen_t;
        message.msg_controllen = room as _;
        // SAFETY: name, vector and control point to live buffers of the lengths stated.
        let result = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) };
        match check_len(result, "recvmsg") {
            Ok(full) => {
                source.length = (message.msg_namelen as usize).min(source.bytes.len());
                return Ok(Some(Received {
                    length: full.min(buffer.len()),
                    full,
                    source,
                    control: (message.msg_controllen as usize).min(room),
                }));
            }
            Err(SysError { errno: Errno::EINTR, .. }) => {}
            Err(SysError { errno: Errno::EAGAIN, .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// One control message: level, type, data.
pub(crate) struct ControlMessage<'a> {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) data: &'a [u8],
}

impl Control {
    /// The messages in the first `length` bytes (`struct cmsghdr`: a size_t and two ints).
    pub(crate) fn messages(&self, length: usize) -> impl Iterator<Item = ControlMessage<'_>> {
        const WORD: usize = size_of::<usize>();
        const HEADER: usize = (WORD + 8).next_multiple_of(WORD);
        let mut rest = self.0.get(..length).unwrap_or(&[]);
        std::iter::from_fn(move || {
            let size = usize::from_ne_bytes(rest.get(..WORD)?.try_into().ok()?);
            let level = i32::from_ne_bytes(rest.get(WORD..WORD + 4)?.try_into().ok()?);
            let kind = i32::from_ne_bytes(rest.get(WORD + 4..WORD + 8)?.try_into().ok()?);
            let data = rest.get(HEADER..size)?;
            rest = rest.get(size.next_multiple_of(WORD)..).unwrap_or(&[]);
            Some(ControlMessage { level, kind, data })
        })
    }
}

/// sendto(2), repeated when a signal interrupts it. An empty address sends to the connected peer.
pub(crate) fn send_to(fd: BorrowedFd<'_>, data: &[u8], address: &[u8], flags: i32) -> Result<usize> {
    let name = if address.is_empty() { std::ptr::null() } else { address.as_ptr() };
    loop {
        // SAFETY: the kernel reads the stated lengths from the two slices; a null address has length 0.
        let sent = unsafe {
            libc::sendto(
                fd.as_raw_fd(),
                data.as_ptr().cast(),
                data.len(),
                flags | libc::MSG_NOSIGNAL,
                name.cast(),
                address.len() as libc::socklen_t,
            )
        };
        match check_len(sent, "sendto") {
            Err(SysError { errno: Errno::EINTR, .. }) => {}
            result => return result,
        }
    }
}
