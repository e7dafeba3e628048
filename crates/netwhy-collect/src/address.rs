//! Addresses (RTM_GETADDR).

use std::net::{IpAddr, Ipv4Addr};

use netwhy_facts::Reading;
use netwhy_facts::address::{Address, Addresses};
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::Attributes;

use crate::collector::Collector;
use crate::decode::{Decoded, header, structure};
use crate::error::CollectError;

const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// `struct ifaddrmsg`.
const HEADER: usize = 8;

impl Collector {
    /// All addresses of the namespace, both families.
    pub fn addresses(&self) -> Reading<Addresses> {
        Self::reading("RTM_GETADDR", "access to the network namespace", || {
            let wrong = CollectError::attribute("RTM_GETADDR");
            let request = [0; HEADER];
            self.dump(Protocol::Route, RTM_GETADDR, &request, |all: &mut Vec<_>, kind, payload| {
                if kind == RTM_NEWADDR {
                    all.extend(decode_address(payload).map_err(&wrong)?);
                }
                Ok(())
            })
            .map(Addresses)
        })
    }
}

/// One address from an RTM_NEWADDR message (uapi `linux/if_addr.h`, IFA_*); `None` if it holds no IP address.
pub fn decode_address(payload: &[u8]) -> Decoded<Option<Address>> {
    let fixed = header(payload, HEADER)?;
    let (mut local, mut remote) = (None, None);
    let mut address = Address {
        ifindex: fixed.u32(4).unwrap_or(0),
        addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        prefix: fixed.u8(1).unwrap_or(0),
        peer: None,
        broadcast: None,
        scope: fixed.u8(3).unwrap_or(0),
        // IFA_FLAGS, when there, has these eight bits and more.
        flags: fixed.u8(2).unwrap_or(0).into(),
        preferred_s: u32::MAX,
        valid_s: u32::MAX,
        label: None,
    };
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            1 => remote = Some(attribute.ip()?),
            2 => local = Some(attribute.ip()?),
            3 => address.label = Some(attribute.text().into_owned()),
            4 => address.broadcast = Some(attribute.ip()?),
            6 => {
                let cache = structure(&attribute, 16)?;
                address.preferred_s = cache.u32(0).unwrap_or(u32::MAX);
                address.valid_s = cache.u32(4).unwrap_or(u32::MAX);
            }
            8 => address.flags = attribute.u32()?,
            _ => {}
        }
    }
    // IFA_LOCAL is ours and IFA_ADDRESS the peer's; where there is no peer both are the same, or one is absent.
    address.addr = match local.or(remote) {
        Some(own) => own,
        None => return Ok(None),
    };
    address.peer = remote.filter(|peer| *peer != address.addr);
    Ok(Some(address))
}
