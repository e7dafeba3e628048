//! `sockaddr` as the kernel lays it out, to and from `std::net`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// `struct sockaddr_in` (16 bytes) or `struct sockaddr_in6` (28 bytes).
pub(crate) fn encode(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(four) => {
            let mut bytes = (libc::AF_INET as u16).to_ne_bytes().to_vec();
            bytes.extend_from_slice(&four.port().to_be_bytes());
            bytes.extend_from_slice(&four.ip().octets());
            bytes.resize(16, 0);
            bytes
        }
        SocketAddr::V6(six) => {
            let mut bytes = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
            bytes.extend_from_slice(&six.port().to_be_bytes());
            bytes.extend_from_slice(&six.flowinfo().to_be_bytes());
            bytes.extend_from_slice(&six.ip().octets());
            bytes.extend_from_slice(&six.scope_id().to_ne_bytes());
            bytes
        }
    }
}

/// The address in a `sockaddr`; `None` for other families and cut ones.
pub(crate) fn decode(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    match family {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?);
            Some(SocketAddrV4::new(ip, port).into())
        }
        libc::AF_INET6 => {
            let flow = u32::from_be_bytes(*bytes.get(4..)?.first_chunk()?);
            let ip = Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?);
            let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
            Some(SocketAddrV6::new(ip, port, flow, scope).into())
        }
        _ => None,
    }
}

/// The family of an address, as sockets are made for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
}

impl Family {
    /// The family this address belongs to.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    pub(crate) const fn number(self) -> i32 {
        match self {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_back() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:443", "[fe80::1%7]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            let bytes = encode(address);
            assert_eq!(decode(&bytes), Some(address));
            for cut in 0..bytes.len() - 8 {
                let _ = decode(&bytes[..cut]);
            }
        }
        assert_eq!(decode(&[0; 28]), None);
    }
}
