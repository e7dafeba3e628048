//! Nexthop objects (RTM_GETNEXTHOP, since Linux 5.3).

use std::ops::ControlFlow;

use netwhy_facts::route::{Nexthop, Nexthops};
use netwhy_facts::{Family, Reading};
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::{Attributes, Fixed};

use super::{AF_INET, AF_INET6, BOUND};
use crate::collector::Collector;
use crate::decode::{Decoded, header};
use crate::error::CollectError;

const RTM_NEWNEXTHOP: u16 = 104;
const RTM_GETNEXTHOP: u16 = 106;
/// `struct nhmsg`.
const HEADER: usize = 8;
/// `struct nexthop_grp`.
const MEMBER: usize = 8;

impl Collector {
    /// The nexthop objects; `Failed` if there are more than 5,000.
    pub fn nexthops(&self) -> Reading<Nexthops> {
        Self::reading("RTM_GETNEXTHOP", "access to the network namespace", || {
            let wrong = CollectError::attribute("RTM_GETNEXTHOP");
            let (found, complete) = self.dump_bounded(
                Protocol::Route,
                RTM_GETNEXTHOP,
                &[0; HEADER],
                |all: &mut Vec<Nexthop>, kind, payload| {
                    if kind == RTM_NEWNEXTHOP {
                        all.push(decode_nexthop(payload).map_err(&wrong)?);
                    }
                    Ok(if all.len() > BOUND { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                },
            )?;
            if !complete {
                let detail = format!("more than {BOUND}, or changing all the time");
                return Err(CollectError::malformed("nexthop objects", detail));
            }
            Ok(Nexthops(found))
        })
    }
}

/// One object from an RTM_NEWNEXTHOP message (uapi `linux/nexthop.h`, NHA_*).
pub fn decode_nexthop(payload: &[u8]) -> Decoded<Nexthop> {
    let fixed = header(payload, HEADER)?;
    let mut nexthop = Nexthop {
        id: 0,
        oif: None,
        gateway: None,
        blackhole: false,
        group: Vec::new(),
        flags: fixed.u32(4).unwrap_or(0),
        family: match fixed.u8(0) {
            Some(AF_INET) => Some(Family::Inet),
            Some(AF_INET6) => Some(Family::Inet6),
            _ => None,
        },
    };
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            1 => nexthop.id = attribute.u32()?,
            2 => {
                nexthop.group = attribute.payload.chunks_exact(MEMBER).map(|one| member(Fixed(one))).collect()
            }
            4 => nexthop.blackhole = true,
            5 => nexthop.oif = Some(attribute.u32()?),
            6 => nexthop.gateway = Some(attribute.ip()?),
            _ => {}
        }
    }
    Ok(nexthop)
}

/// {u32 id, u8 weight - 1, u8 its high byte (since 6.12), u16}.
fn member(fixed: Fixed<'_>) -> (u32, u32) {
    let weight = u16::from_le_bytes([fixed.u8(4).unwrap_or(0), fixed.u8(5).unwrap_or(0)]);
    (fixed.u32(0).unwrap_or(0), u32::from(weight) + 1)
}
