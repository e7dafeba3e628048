//! Neighbour entries (rtnetlink `RTM_NEWNEIGH`, uapi `linux/neighbour.h`).

use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_REPLACE};
use netwhy_wire::netlink::Builder;

use crate::words::{family_of, ip};
use crate::{ChangeError, Result, RouteWriter};

const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

/// States by name (`NUD_*`).
pub const STATES: [(&str, u16); 7] = [
    ("incomplete", 0x01),
    ("reachable", 0x02),
    ("stale", 0x04),
    ("delay", 0x08),
    ("probe", 0x10),
    ("failed", 0x20),
    ("permanent", 0x80),
];

impl RouteWriter<'_> {
    fn neighbour(&mut self, device: &str, address: &str, state: u16) -> Result<Builder> {
        let address = ip(address)?;
        let mut header = [0; 12];
        header[0] = family_of(&address);
        header[4..8].copy_from_slice(&self.index(device)?.to_ne_bytes());
        header[8..10].copy_from_slice(&state.to_ne_bytes());
        let mut message = Builder::with_header(&header);
        message.ip(NDA_DST, address);
        Ok(message)
    }

    /// Adds or changes a neighbour entry.
    pub fn neigh_set(&mut self, device: &str, address: &str, hardware: &str, state: &str) -> Result<()> {
        let number = STATES
            .iter()
            .find(|(word, _)| *word == state)
            .ok_or_else(|| ChangeError::Usage(format!("{state} is not a neighbour state")))?
            .1;
        let mut message = self.neighbour(device, address, number)?;
        message.bytes(NDA_LLADDR, &crate::link::hardware(hardware)?);
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.order(format!("set neighbour {address} {state}"), RTM_NEWNEIGH, flags, message)
    }

    /// Removes a neighbour entry.
    pub fn neigh_del(&mut self, device: &str, address: &str) -> Result<()> {
        let message = self.neighbour(device, address, 0)?;
        self.order(format!("delete neighbour {address}"), RTM_DELNEIGH, 0, message)
    }
}
