//! Addresses on devices (rtnetlink `RTM_NEWADDR`, uapi `linux/if_addr.h`).

use std::time::{Duration, Instant};

use netwhy_wire::netlink::Builder;

use super::{CREATE, family_of, interface_address};
use crate::error::{LabError, Result};
use crate::node::Node;

const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;

/// Do not probe for duplicates first.
pub const NODAD: u32 = 0x02;
/// No route for the prefix.
pub const NOPREFIXROUTE: u32 = 0x200;

impl Node {
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

    /// Adds an address (`203.0.113.1/24`); IPv6 without duplicate detection, so that it works at once.
    pub fn addr_add(&mut self, device: &str, address: &str) -> Result<()> {
        self.addr_add_flags(device, address, NODAD)?;
        if address.contains(':') {
            // On a device that is down it does not come into use, and need not.
            self.settle(Duration::from_millis(500));
        }
        Ok(())
    }

    /// Waits until the kernel has found that another host holds an address (`IFA_F_DADFAILED`).
    pub fn dad_fails(&self, address: &str) -> Result<()> {
        const DADFAILED: u32 = 0x08;
        let super::IpAddr::V6(wanted) = super::ip(address)? else { return Ok(()) };
        let wanted: String = wanted.octets().iter().map(|byte| format!("{byte:02x}")).collect();
        let end = Instant::now() + Duration::from_secs(5);
        loop {
            let path = format!("/proc/{}/net/if_inet6", self.pid);
            let text = std::fs::read_to_string(&path).map_err(LabError::io(path))?;
            let line = text.lines().find(|line| line.starts_with(&wanted)).unwrap_or_default();
            let flags = line.split_whitespace().nth(4).and_then(|word| u32::from_str_radix(word, 16).ok());
            if flags.is_some_and(|flags| flags & DADFAILED != 0) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(LabError::Unexpected(format!("{address}: nobody objected")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until no IPv6 address is tentative and every one has joined its solicited-node group: the
    /// kernel does both in the background, and until then nobody answers for the address. `false`: not in
    /// time.
    pub(crate) fn settle(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while !self.settled() {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn settled(&self) -> bool {
        const TENTATIVE: u32 = 0x40;
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/net/{file}", self.pid));
        // address, index, prefix length, scope, flags, device; then index, device, group, ...
        let (Ok(addresses), Ok(groups)) = (read("if_inet6"), read("igmp6")) else { return true };
        addresses.lines().all(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [address, _, _, _, flags, device] = words[..] else { return true };
            let flags = u32::from_str_radix(flags, 16).unwrap_or(0);
            let group = format!("ff0200000000000000000001ff{}", address.get(26..).unwrap_or_default());
            let joined = || {
                groups.lines().any(|line| {
                    let mut words = line.split_whitespace().skip(1);
                    words.next() == Some(device) && words.next() == Some(&group)
                })
            };
            device == "lo" || (flags & TENTATIVE == 0 && joined())
        })
    }

    /// Adds an address with `IFA_F_` flags.
    pub fn addr_add_flags(&mut self, device: &str, address: &str, flags: u32) -> Result<()> {
        let message = self.address(device, address, flags)?;
        self.route_order(format!("add {address} on {device}"), RTM_NEWADDR, CREATE, message)
    }

    /// Removes an address.
    pub fn addr_del(&mut self, device: &str, address: &str) -> Result<()> {
        let message = self.address(device, address, 0)?;
        self.route_order(format!("delete {address} on {device}"), RTM_DELADDR, 0, message)
    }
}
