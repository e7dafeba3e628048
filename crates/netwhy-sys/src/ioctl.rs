//! Devices by name and number (`netdevice(7)`), in the calling thread's network namespace.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::errno::Errno;
use crate::error::{Result, SysError, check};
use crate::fd;

/// `struct ifreq`: a name and 24 bytes that each request uses in its own way.
#[repr(C, align(8))]
pub(crate) struct Request {
    name: [u8; NAME],
    pub(crate) value: [u8; 24],
}

const NAME: usize = 16;
// uapi `linux/sockios.h`; the C libraries do not agree on the type.
const SIOCGIFNAME: u64 = 0x8910;
const SIOCGIFHWADDR: u64 = 0x8927;
const SIOCGIFINDEX: u64 = 0x8933;

impl Request {
    pub(crate) fn named(operation: &'static str, name: &str) -> Result<Self> {
        let mut request = Request { name: [0; NAME], value: [0; 24] };
        let bytes = name.as_bytes();
        // One byte is for the NUL.
        if bytes.is_empty() || bytes.len() >= NAME || bytes.contains(&0) {
            return Err(SysError::new(operation, name, Errno::ENODEV));
        }
        for (to, from) in request.name.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(request)
    }

    /// Carries out a device request.
    ///
    /// # Safety
    /// `number` must be a request on `struct ifreq`; a pointer in the value must be good for what the request
    /// does with it until the call returns.
    pub(crate) unsafe fn call(
        &mut self,
        fd: BorrowedFd<'_>,
        number: u64,
        operation: &'static str,
    ) -> Result<()> {
        // SAFETY: device requests read and write one `struct ifreq`, which this is laid out and sized as; the
        // rest is the caller's promise.
        let code = unsafe { libc::ioctl(fd.as_raw_fd(), number as _, std::ptr::from_mut(self)) };
        check(code, operation).map(drop).map_err(|error| SysError {
            object: String::from_utf8_lossy(self.name.split(|&byte| byte == 0).next().unwrap_or(&[]))
                .into_owned(),
            ..error
        })
    }
}

/// Any socket will do to ask about devices.
pub(crate) fn any_socket() -> Result<OwnedFd> {
    fd::socket(libc::AF_INET, libc::SOCK_DGRAM, 0)
        .or_else(|_| fd::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0))
        .or_else(|_| fd::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0))
}

/// The number of the device with this name.
pub fn index_of(name: &str) -> Result<u32> {
    let mut request = Request::named("ioctl SIOCGIFINDEX", name)?;
    let socket = any_socket()?;
    // SAFETY: a request that stays within the structure.
    unsafe { request.call(socket.as_fd(), SIOCGIFINDEX, "ioctl SIOCGIFINDEX")? };
    let index = i32::from_ne_bytes(request.value.first_chunk().copied().unwrap_or_default());
    u32::try_from(index).map_err(|_| SysError::new("ioctl SIOCGIFINDEX", name, Errno::ERANGE))
}

/// The name of the device with this number.
pub fn name_of(index: u32) -> Result<String> {
    let operation = "ioctl SIOCGIFNAME";
    let mut request = Request { name: [0; NAME], value: [0; 24] };
    request.value[..4].copy_from_slice(&index.to_ne_bytes());
    let socket = any_socket()?;
    // SAFETY: a request that stays within the structure.
    unsafe { request.call(socket.as_fd(), SIOCGIFNAME, operation) }
        .map_err(|error| SysError { object: format!("ifindex {index}"), ..error })?;
    Ok(String::from_utf8_lossy(request.name.split(|&byte| byte == 0).next().unwrap_or(&[])).into_owned())
}

/// The kind of a device (`ARPHRD_*`, uapi `linux/if_arp.h`) and the first six bytes of its hardware address:
/// all of it for Ethernet (1), zeroes for loopback (772).
pub fn hardware_address(name: &str) -> Result<(u16, [u8; 6])> {
    let operation = "ioctl SIOCGIFHWADDR";
    let mut request = Request::named(operation, name)?;
    let socket = any_socket()?;
    // SAFETY: a request that stays within the structure.
    unsafe { request.call(socket.as_fd(), SIOCGIFHWADDR, operation)? };
    let [k0, k1, a, b, c, d, e, f] = request.value.first_chunk().copied().unwrap_or_default();
    Ok((u16::from_ne_bytes([k0, k1]), [a, b, c, d, e, f]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_to_each_other() {
        let index = index_of("lo").unwrap();
        assert_eq!(name_of(index).unwrap(), "lo");
    }

    #[test]
    fn loopback_has_a_kind_and_no_address() {
        assert_eq!(hardware_address("lo").unwrap(), (772, [0; 6]));
        assert_eq!(hardware_address("no-such-dev").unwrap_err().errno, Errno::ENODEV);
    }

    #[test]
    fn what_is_not_there_is_said_by_name() {
        let error = index_of("no-such-dev").unwrap_err();
        assert_eq!(error.to_string(), "ioctl SIOCGIFINDEX no-such-dev: ENODEV (No such device)");
        assert_eq!(index_of("a-name-that-is-too-long").unwrap_err().errno, Errno::ENODEV);
        assert_eq!(name_of(0x7fff_fff0).unwrap_err().errno, Errno::ENODEV);
    }
}
