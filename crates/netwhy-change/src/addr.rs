//! Addresses on devices (rtnetlink `RTM_NEWADDR`, uapi `linux/if_addr.h`).

use netwhy_wire::netlink::Builder;

use crate::words::{CREATE, family_of, interface_address};
use crate::{Result, RouteWriter};

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;

/// Do not probe for duplicates first.
pub const NODAD: u32 = 0x02;
/// No route for the prefix.
pub const NOPREFIXROUTE: u32 = 0x200;

impl RouteWriter<'_> {
    fn address(&mut self, device: &str, text: &str, flags: u32) -> Result<Builder> {
        let (address, length) = interface_address(text)?;
        let mut header = [family_of(&address), length, 0, 0, 0, 0, 0, 0];
        header[4..].copy_from_slice(&self.index(device)?.to_ne_bytes());
        let mut message = Builder::with_header(&header);
        message.ip(IFA_LOCAL, address).ip(IFA_ADDRESS, address);
        if flags != 0 {
            message.u32(IFA_FLAGS, flags);
        }
        Ok(message)
    }

    /// Adds an address with `IFA_F_` flags.
    pub fn addr_add_flags(&mut self, device: &str, address: &str, flags: u32) -> Result<()> {
        let message = self.address(device, address, flags)?;
        self.order(format!("add {address} on {device}"), RTM_NEWADDR, CREATE, message)
    }

    /// Removes an address.
    pub fn addr_del(&mut self, device: &str, address: &str) -> Result<()> {
        let message = self.address(device, address, 0)?;
        self.order(format!("delete {address} on {device}"), RTM_DELADDR, 0, message)
    }
}
