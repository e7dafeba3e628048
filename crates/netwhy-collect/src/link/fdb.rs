//! Forwarding databases of bridges and VXLAN devices (RTM_GETNEIGH of AF_BRIDGE).

use std::ops::ControlFlow;

use netwhy_facts::Reading;
use netwhy_facts::link::{Fdb, FdbEntry};
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::Attributes;

use super::AF_BRIDGE;
use crate::collector::Collector;
use crate::decode::{Decoded, header, mac};
use crate::error::CollectError;

const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
/// `struct ndmsg`.
const HEADER: usize = 12;
const NUD_PERMANENT: u16 = 0x80;
/// More entries than this are not kept: the kernel cannot filter them, and a question concerns a few.
const BOUND: usize = 20_000;

impl Collector {
    /// The forwarding entries of every bridge and VXLAN device; `Failed` if there are more than 20,000.
    pub fn fdb(&self) -> Reading<Fdb> {
        Self::reading("RTM_GETNEIGH of AF_BRIDGE", "access to the network namespace", || {
            let mut request = [0; HEADER];
            request[0] = AF_BRIDGE;
            let wrong = CollectError::attribute("RTM_GETNEIGH of AF_BRIDGE");
            let (entries, complete) = self.dump_bounded(
                Protocol::Route,
                RTM_GETNEIGH,
                &request,
                |all: &mut Vec<FdbEntry>, kind, payload| {
                    if kind == RTM_NEWNEIGH {
                        all.extend(decode_fdb(payload).map_err(&wrong)?);
                    }
                    Ok(if all.len() > BOUND { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                },
            )?;
            if !complete {
                let detail = format!("more than {BOUND} entries, or changing all the time");
                return Err(CollectError::malformed("forwarding database", detail));
            }
            Ok(Fdb(entries))
        })
    }
}

/// One entry from an AF_BRIDGE RTM_NEWNEIGH message; `None` if it is of another family or has no address.
pub fn decode_fdb(payload: &[u8]) -> Decoded<Option<FdbEntry>> {
    let fixed = header(payload, HEADER)?;
    if fixed.u8(0) != Some(AF_BRIDGE) {
        return Ok(None);
    }
    let mut entry = FdbEntry {
        ifindex: fixed.u32(4).unwrap_or(0),
        mac: String::new(),
        vlan: None,
        remote: None,
        master: None,
        permanent: fixed.u16(8).unwrap_or(0) & NUD_PERMANENT != 0,
    };
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            1 => entry.remote = Some(attribute.ip()?),
            2 => entry.mac = mac(attribute.payload),
            5 => entry.vlan = Some(attribute.u16()?),
            9 => entry.master = Some(attribute.u32()?),
            _ => {}
        }
    }
    Ok((!entry.mac.is_empty()).then_some(entry))
}
